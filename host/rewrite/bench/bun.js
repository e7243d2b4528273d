// The other side of BenchmarkBun: Bun's HTMLRewriter, which is native lol-html.
//
// It reads one job a line from standard input and answers each with one line of
// JSON on standard output:
//
//   {"page": path, "rules": [rule, ...], "way": "stream" | "whole", "ms": how long}
//     -> {"ns": nanoseconds a page, "runs": how many pages that was}
//   the same with "output": true
//     -> {"output": the page as it came out, in base64}
//
// A rule is {"tail": markup} or {"select": selector} with one of
// {"attr": [name, value]}, {"append": text}, {"text": text}.
//
// What a measured run does: it gives the page to a rewriter whose handlers are
// registered already, and waits until all of the output is in one buffer. With
// "stream" the page comes as a stream of pieces of 16 KB, as an edge would get
// it; with "whole" it is one buffer and nothing is awaited, which is the least that
// Bun can do for a page. Both include Bun's own cost of calling a handler.

import { readFileSync } from "node:fs";

const piece = 16 << 10;

function rewriter(rules) {
  const r = new HTMLRewriter();
  for (const { select, tail, attr, append, text } of rules) {
    if (tail !== undefined) {
      r.onDocument({ end(d) { d.append(tail, { html: true }); } });
    } else if (attr) {
      const [name, value] = attr;
      r.on(select, { element(e) { e.setAttribute(name, value); } });
    } else if (append !== undefined) {
      r.on(select, { element(e) { e.append(append); } });
    } else {
      r.on(select, { element(e) { e.setInnerContent(text); } });
    }
  }
  return r;
}

function stream(page) {
  let i = 0;
  return new ReadableStream({
    pull(c) {
      if (i >= page.length) {
        c.close();
        return;
      }
      c.enqueue(page.subarray(i, i + piece));
      i += piece;
    },
  });
}

const ways = {
  stream: (r, page) => r.transform(new Response(stream(page))).arrayBuffer(),
  whole: (r, page) => r.transform(page.buffer),
};

// The time of a core, in nanoseconds, all threads together.
function cpuTime() {
  const { user, system } = process.cpuUsage();
  return (user + system) * 1e3;
}

// The time on the clock or of a core counts, whichever is less.
async function measure(r, way, page, ms) {
  const start = Bun.nanoseconds();
  const cpu = cpuTime();
  const end = start + ms * 1e6;
  let runs = 0;
  let now = start;
  while (now < end || runs === 0) {
    const out = way(r, page);
    if (way === ways.stream) await out;
    runs++;
    now = Bun.nanoseconds();
  }
  return { ns: Math.min(now - start, cpuTime() - cpu) / runs, runs };
}

const pages = new Map();

function load(path) {
  if (!pages.has(path)) {
    // A buffer of its own, so that it can be given away as it is.
    pages.set(path, new Uint8Array(readFileSync(path)));
  }
  return pages.get(path);
}

for await (const line of console) {
  if (line === "") break; // the end
  const job = JSON.parse(line);
  const page = load(job.page);
  const r = rewriter(job.rules);
  const way = ways[job.way];
  if (job.output) {
    const out = await way(r, page);
    console.log(JSON.stringify({ output: Buffer.from(out).toString("base64") }));
  } else {
    console.log(JSON.stringify(await measure(r, way, page, job.ms)));
  }
}
