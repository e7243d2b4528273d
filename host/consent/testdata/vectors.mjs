// Writes vectors.txt: GPP strings of the IAB's own encoder, with what went in.
//
//	npm install @iabgpp/cmpapi@3.2.0 && node vectors.mjs > vectors.txt
//
// A line is a string, a tab, and its sections as JSON without vendors,
// flags as a row of 0 and 1. The values come from a
// generator with a fixed seed, so the file is the same every time.
import { GppModel, Sections } from "@iabgpp/cmpapi";

let seed = 20260301;
const below = (n) => {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return Math.floor((seed / 2 ** 32) * n);
};
const flags = (n) => Array.from({ length: n }, () => below(2) === 1);
const ids = (most) => {
  const list = [];
  for (let id = 1 + below(9); id <= most; id += 1 + below(7) * below(2)) list.push(id);
  return list;
};

const VENDORS = /^Vendors|^Vendor\w+Consents?$|^Vendor\w+Interests$|DisclosedVendors|Restrictions$/;
const US = /^us[a-z]{2,3}$/;

function fillUS(model, name) {
  model.setFieldValue(name, "MspaCoveredTransaction", 1); // makes the section
  const fields = model.getSection(name);
  for (const [key, value] of Object.entries(fields)) {
    if (/Version|SegmentType|SegmentIncluded/.test(key)) continue;
    if (Array.isArray(value)) {
      model.setFieldValue(name, key, value.map(() => below(3)));
    } else if (typeof value === "boolean") {
      model.setFieldValue(name, key, below(2) === 1);
    } else {
      model.setFieldValue(name, key, key === "MspaCoveredTransaction" ? 1 + below(2) : below(3));
    }
  }
  if ("Gpc" in fields && below(3) === 0) {
    model.setFieldValue(name, "Gpc", false);
    model.setFieldValue(name, "GpcSegmentIncluded", false);
  }
  if (name === "usnat" && below(2) === 0) model.setFieldValue(name, "Version", 1);
}

function fillTCF(model, name) {
  const eu = name === "tcfeuv2";
  const set = (key, value) => model.setFieldValue(name, key, value);
  set("CmpId", below(4096));
  set("CmpVersion", below(4096));
  set("ConsentScreen", below(64));
  set("ConsentLanguage", ["DE", "FR", "EN"][below(3)]);
  set("VendorListVersion", below(4096));
  if (eu) {
    set("PolicyVersion", 4 + below(2));
    set("PurposeOneTreatment", below(2) === 1);
    set("PublisherCountryCode", ["AT", "ZZ", "NL"][below(3)]);
    set("SpecialFeatureOptins", flags(12));
    set("PurposeConsents", flags(24));
    set("PurposeLegitimateInterests", flags(24));
    set("VendorConsents", ids(below(900)));
    set("VendorLegitimateInterests", ids(below(300)));
    set("VendorsDisclosed", ids(below(1200)));
    set("PublisherConsents", flags(24));
    set("PublisherLegitimateInterests", flags(24));
  } else {
    set("TcfPolicyVersion", below(64));
    set("SpecialFeatureExpressConsent", flags(12));
    set("PurposesExpressConsent", flags(24));
    set("PurposesImpliedConsent", flags(24));
    set("VendorExpressConsent", ids(below(400)));
    set("VendorImpliedConsent", ids(below(400)));
    set("PubPurposesExpressConsent", flags(24));
    set("PubPurposesImpliedConsent", flags(24));
  }
  const n = below(4);
  set("NumCustomPurposes", n);
  set(eu ? "PublisherCustomConsents" : "CustomPurposesExpressConsent", flags(n));
  set(eu ? "PublisherCustomLegitimateInterests" : "CustomPurposesImpliedConsent", flags(n));
  // Last, since every other change sets the times to now.
  const day = new Date(Date.UTC(2025, 6, 1 + below(400)));
  set("Created", day);
  set("LastUpdated", day);
}

function fill(model, name) {
  if (name === "uspv1") {
    const letters = ["YNN", "NYY", "---", "-Y-", "YYN", "-NN"][below(6)];
    ["Notice", "OptOutSale", "LspaCovered"].forEach((key, i) => model.setFieldValue(name, key, letters[i]));
  } else if (US.test(name)) {
    fillUS(model, name);
  } else {
    fillTCF(model, name);
  }
}

const names = [...Sections.SECTION_ID_NAME_MAP.values()];
const lists = names.flatMap((name) => Array.from({ length: 5 }, () => [name]));
for (let i = 0; i < 16; i++) lists.push(names.filter(() => below(5) === 0));
for (const list of lists) {
  const model = new GppModel();
  for (const name of list) fill(model, name);
  const out = {};
  const text = model.encode();
  for (const name of list) {
    out[name] = model.getSection(name);
    for (const [key, value] of Object.entries(out[name])) {
      if (VENDORS.test(key)) delete out[name][key];
      else if (value.every?.((v) => typeof v === "boolean")) out[name][key] = value.map(Number).join("");
    }
  }
  process.stdout.write(text + "\t" + JSON.stringify(out) + "\n");
}
