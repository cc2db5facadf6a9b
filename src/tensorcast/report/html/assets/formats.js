// What other formats would make of the weights and the activations.

const VERDICTS = ["exact", "fits", "coarse", "loses", "collapses", "overflows"];
const verdict = (word) => h("span", { class: "verdict", "data-verdict": word }, word);
const decibels = (value) =>
  value === null || value === undefined ? "\u2013" : value === "inf" ? "exact" : `${Number(value).toFixed(1)} dB`;

function figureOf(value) {
  if (value === null || value === undefined) return "\u2013";
  if (typeof value !== "number") return value;
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size < 1e-3 || size >= 1e7) return value.toExponential(2);
  return size >= 1000 ? count(Math.round(value)) : String(Number(value.toPrecision(4)));
}

function candidates(profile) {
  if (!profile.candidates.length)
    return h("p", { class: "note" }, "No values are known that a format could be judged by.");
  const table = sortable({
    name: "candidates-table",
    caption: "All weights together, and all activations, in another format",
    noun: "format",
    rows: profile.candidates,
    columns: [
      { head: "Of", word: true, value: (c) => c.of, cell: (c) => c.of },
      { head: "Format", word: true, value: (c) => c.target, cell: (c) => chip(c.target) },
      { head: "Verdict", word: true, value: (c) => String(VERDICTS.indexOf(c.verdict)), cell: (c) => verdict(c.verdict) },
      { head: "Saves", numeric: true, value: (c) => c.before - c.after, cell: (c) => bytes(c.before - c.after) },
      { head: "Overflow", numeric: true, value: (c) => c.over, cell: (c) => count(c.over) },
      { head: "To zero", numeric: true, value: (c) => c.under, cell: (c) => (c.under === null ? "\u2013" : count(c.under)) },
      { head: "SQNR", numeric: true, value: (c) => (c.sqnr === "inf" ? Infinity : c.sqnr), cell: (c) => decibels(c.sqnr) },
      { head: "Why", value: (c) => c.sentence, cell: (c) => c.sentence },
    ],
  });
  return table.element;
}
