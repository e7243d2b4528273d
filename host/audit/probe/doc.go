// Package probe is the experiment from outside: pairs of visitors who differ in
// nothing but personal data, and who both refuse. Whatever a site then answers one
// of them, it must answer the other: status, header and body, byte for byte. It
// needs nothing of the site but its address, and works against any.
//
// Fill in a [Config] and call [Run]; it returns a [Report], of which
// [Report.Verdict] is the answer. [Canaries] run the same on a schedule.
//
// The method is that of information flow experiments: that data flows into an
// answer is that a change of the data causes a change of the answer, which is
// found by random assignment and, where the site varies by itself, a permutation
// test (M. C. Tschantz, A. Datta, A. Datta, J. M. Wing, A Methodology for
// Information Flow Experiments, CSF 2015, 554-568, doi 10.1109/CSF.2015.40;
// A. Datta, M. C. Tschantz, A. Datta, Automated Experiments on Ad Privacy
// Settings, PoPETs 2015 (1), 92-112, doi 10.1515/popets-2015-0007).
//
// Equality shows something only where the data would otherwise matter, so pairs who
// agree are tried as well: a dimension in which they do not differ has no power, and
// the report says so. Pairs of identical visitors tell how far the site varies by
// itself.
//
// The package never says that a site uses nothing: it says what it tried. It does
// not measure time, runs no scripts of a page and asks nobody but the one site.
package probe
