// A table that sorts by its heads, shows its first rows until asked for all, and can be filtered.

function sortable({ name, caption, columns, rows, most = 40, noun = "row", onrow = null }) {
  let by = columns.findIndex((column) => column.first);
  let descending = by >= 0 && columns[by].first === "descending";
  let kept = rows;
  let all = false;

  const kindOf = (column) => (column.numeric ? "number" : column.word ? "word" : null);
  const heads = columns.map((column, i) =>
    h(
      "th",
      { role: "columnheader", scope: "col", class: kindOf(column) },
      button(column.head, () => sort(i), { title: column.title || null }),
    ),
  );
  const body = h("tbody", { role: "rowgroup" });
  const more = button("", () => {
    all = true;
    draw();
    body.children[most]?.querySelector("a, button")?.focus();
  });
  const note = h("p", { class: "note" });
  const printed = h("p", { class: "note printed" });
  const table = h(
    "table",
    { id: name, role: "table" },
    h("caption", {}, caption),
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, heads)),
    body,
  );

  function sort(i) {
    // a column of numbers begins with the largest, one of text with A
    descending = i === by ? !descending : Boolean(columns[i].numeric);
    by = i;
    draw();
    say(`sorted by ${columns[i].head}, ${descending ? "descending" : "ascending"}`);
  }

  function sorted() {
    if (by < 0) return kept;
    const { value } = columns[by];
    const sign = descending ? -1 : 1;
    return [...kept].sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      if (typeof x === "string") return sign * x.localeCompare(y, "en", { numeric: true });
      return sign * ((x ?? -Infinity) - (y ?? -Infinity));
    });
  }

  function draw() {
    heads.forEach((head, i) => {
      if (i === by) head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    const shown = sorted().slice(0, all ? undefined : most);
    body.replaceChildren(
      ...shown.map((row) => {
        const cells = columns.map((column) =>
          h(
            "td",
            { role: "cell", "data-head": column.head, class: kindOf(column) },
            column.cell(row),
          ),
        );
        const line = h("tr", { role: "row" }, cells);
        if (onrow) onrow(line, row);
        return line;
      }),
    );
    const left = kept.length - shown.length;
    more.hidden = left === 0;
    more.textContent = `Show ${left === 1 ? "1 more" : `all ${count(kept.length)} ${noun}s`}`;
    printed.hidden = left === 0;
    printed.textContent = `and ${plural(left, `more ${noun}`)}`;
    note.hidden = kept.length > 0;
    note.textContent = `no ${noun} fits the filter`;
  }

  function only(keep) {
    kept = keep ? rows.filter(keep) : rows;
    draw();
    return kept.length;
  }

  function replace(next, title) {
    rows = kept = next;
    all = false;
    if (title) table.caption.textContent = title;
    draw();
  }

  const caption_ = (text) => {
    table.caption.textContent = text;
  };
  draw();
  return {
    element: h("div", { class: "table" }, table, note, more, printed), only, replace, draw, caption: caption_,
  };
}

// A filter above a table: every word must stand somewhere in a row's words.
function filterBox({ id, placeholder, noun, total, words, only }) {
  const input = h("input", {
    type: "search", id, autocomplete: "off", spellcheck: "false", placeholder,
  });
  const told = h("span", { class: "note", role: "status" });
  let limit = null;
  let why = "";
  const reset = button("Show all", () => {
    input.value = "";
    limit = null;
    apply();
    input.focus();
  });
  function apply() {
    const wanted = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const is = Boolean(limit) || wanted.length > 0;
    const keep = (row) =>
      (!limit || limit(row)) && wanted.every((word) => words(row).toLowerCase().includes(word));
    const n = only(is ? keep : null);
    reset.hidden = !is;
    told.textContent = is ? `${plural(n, noun)} of ${count(total)}${limit ? why : ""}` : "";
  }
  input.addEventListener("input", apply);
  apply();
  return {
    element: h("div", { class: "tools" }, h("label", { for: id }, "Filter"), input, reset, told),
    limitTo: (predicate, reason) => {
      limit = predicate;
      why = reason;
      input.value = "";
      apply();
    },
  };
}
