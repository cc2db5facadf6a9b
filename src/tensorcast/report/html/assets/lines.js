// What happened at each line of code.

function sitesOf(trace) {
  const texts = new Set([
    "kind", "op", "source", "target", "from", "to", "file", "function", "code", "callerFile",
    "phase", "module", "parameter", "shape",
  ]);
  const named = (columns, row) =>
    Object.fromEntries(
      columns.map((column, i) => [column, texts.has(column) ? trace.texts[row[i]] : row[i]]),
    );
  return trace.rows.map((row, index) => {
    const site = named(trace.columns, row);
    site.members = site.members.map((member) => named(trace.members, member));
    return { index, ...site, moved: site.read + site.written };
  });
}

const place = (site) => (site.file ? `${site.file}:${site.line}` : "no line of its own");
const shortPlace = (site) =>
  site.file ? `${site.file.split("/").pop()}:${site.line}` : "no line";

const KINDS = {
  cast: "cast", promotion: "promotion", transfer: "transfer", synchronisation: "wait",
  float64: "new float64",
};

function conversion(site) {
  if (site.kind === "transfer") return h("span", { class: "conversion" }, `${site.from} \u2192 ${site.to}`);
  if (site.kind === "synchronisation")
    return h("span", { class: "conversion" }, chip(site.source), " \u2192 Python");
  if (site.kind === "float64") return h("span", { class: "conversion" }, "new ", chip("float64"));
  return h("span", { class: "conversion" }, chip(site.source), " \u2192 ", chip(site.target));
}

function lineCell(site) {
  const parts = [h("span", { class: "place" }, place(site))];
  if (site.code) parts.push(h("code", {}, site.code));
  if (site.callerFile)
    parts.push(h("span", { class: "sub" }, `called from ${site.callerFile}:${site.callerLine}`));
  return parts;
}

// What all of some paths begin with: "encoder.layer" of encoder.layer.0.key and encoder.layer.1.key.
function common(names) {
  const parts = names.map((name) => name.split("."));
  const first = parts[0] || [];
  const n = first.findIndex((part, i) => !parts.every((other) => other[i] === part));
  return (n < 0 ? first : first.slice(0, n)).join(".");
}

function memberRow(member) {
  const of = [member.parameter || member.module || "outside of modules", member.shape];
  return h("li", {}, h("span", { class: "module" }, of.join(" ")),
    ` ${plural(member.count, "time")}, ${bytes(member.moved)}`);
}

function whereCell(site) {
  const { members } = site;
  const parts = [];
  const module = common(members.map((member) => member.module));
  if (module) parts.push(h("span", { class: "module" }, module));
  if (members.length === 1) {
    const { parameter } = members[0];
    if (parameter) parts.push(h("span", { class: "sub" }, `of ${parameter}`));
  } else {
    const left = site.n - members.length;
    const whose = members.every((member) => member.parameter) ? "parameter" : "place";
    parts.push(h("details", {}, h("summary", {}, plural(site.n, whose)),
      h("ul", { class: "members" }, members.map(memberRow),
        left ? h("li", {}, `and ${count(left)} more`) : null)));
  }
  if (site.phase === "backward") parts.push(h("span", { class: "sub" }, "backward pass"));
  if (site.worker) parts.push(h("span", { class: "sub" }, "in a worker process"));
  return parts;
}

function whatCell(site) {
  const { shape } = site.members[0];
  return [
    h("span", { class: "kind" }, KINDS[site.kind] || site.kind),
    conversion(site),
    h("span", { class: "sub" }, site.n > 1 ? `up to ${shape}` : shape),
  ];
}

// The way back to the findings that are about something.
const findingLinks = (numbers) =>
  numbers.flatMap((n, i) => [
    i ? " " : null,
    h("a", { href: `#finding-${n + 1}`, "aria-label": `Finding ${n + 1}` }, `${n + 1}`),
  ]);

function findingCell(site) {
  if (!site.findings.length) return h("span", { class: "none" }, h("span", { "aria-hidden": "true" }, "\u2013"), unseen("none"));
  return findingLinks(site.findings);
}

function lines(trace, sites) {
  const table = sortable({
    name: "lines-table",
    caption: "Conversions, transfers and waits by source line",
    noun: "line",
    rows: sites,
    columns: [
      { head: "Line", value: (s) => place(s), cell: lineCell },
      { head: "What", value: (s) => `${s.kind} ${s.source} ${s.target}`, cell: whatCell },
      { head: "Module", value: (s) => s.members[0].module, cell: whereCell },
      { head: "Times", numeric: true, value: (s) => s.count, cell: (s) => count(s.count) },
      {
        head: "Moved", numeric: true, title: "bytes read and written, over all times",
        value: (s) => s.moved, cell: (s) => bytes(s.moved),
        first: "descending",
      },
      {
        head: "Took", numeric: true, title: "measured in it; a promotion's is not apart",
        value: (s) => s.seconds, cell: (s) => (s.seconds ? duration(s.seconds) : "\u2013"),
      },
      { head: "First at", numeric: true, value: (s) => s.first, cell: (s) => duration(s.first) },
      {
        head: "Finding", numeric: true, value: (s) => (s.findings.length ? -s.findings[0] : -Infinity),
        cell: findingCell,
      },
    ],
    onrow: (row, site) => {
      if (site.findings.length) row.classList.add("found");
      row.dataset.site = site.index;
    },
  });

  const filter = filterBox({
    id: "filter", placeholder: "file, module, format, operation", noun: "line",
    total: sites.length, only: table.only,
    words: (s) => [
      place(s), s.code, s.callerFile, s.kind, KINDS[s.kind], s.source, s.target, s.op, s.from, s.to,
      s.phase, ...s.members.flatMap((member) => [member.module, member.parameter]),
    ].join(" "),
  });

  const { left } = trace;
  const cut = left.lines
    ? h("p", { class: "note" },
        `${plural(left.lines, "cheaper line")} left out here (${plural(left.count, "event")}, `
        + `${bytes(left.bytes)} moved); --json has them all.`)
    : null;
  return {
    element: h("div", {}, filter.element, table.element, cut),
    only: (number) => filter.limitTo((s) => s.findings.includes(number), ` in finding ${number + 1}`),
    mark: (site) => {
      for (const row of document.querySelectorAll("#lines-table tr[data-site]"))
        row.classList.toggle("chosen", Number(row.dataset.site) === site.index);
    },
  };
}
