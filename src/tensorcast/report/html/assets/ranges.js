// What the values reach, against what each format can hold.

function ranges(profile) {
  const tensors = tensorsOf(profile);
  const seen = tensors.filter((t) => t.values);
  if (!seen.length) {
    const why = tensors.find((t) => t.note)?.note.replace(/^no values: /, "");
    return { choose: null, element: h("p", { class: "note" }, `No tensor's values are known${why ? `: ${why}` : ""}.`) };
  }
  const { targets } = profile;
  const about = new Map();
  for (const [number, row] of profile.found) about.set(row, [...(about.get(row) || []), number]);
  const drawnLimits = targets.filter((limits) => limits.max !== undefined);
  let chosen = seen[0];
  const overflowing = targets.findIndex(
    ({ bits }, i) => bits >= 16 && tensors.some((t) => t.losses[i]?.over));
  let target = overflowing >= 0 ? overflowing : 0;
  // one axis for all; what little lies beyond it is drawn at its ends
  const from = Math.max(LEAST, Math.min(-27, ...seen.map((t) => t.values.first)) - 1);
  const to = Math.min(MOST, Math.max(22, ...seen.map((t) => t.values.first + t.values.heights.length)) + 1);

  const x = (e, width) => ((Math.min(Math.max(e, from), to) - from) / (to - from)) * width;

  const title = h("h3", { id: "range-name" });
  const facts = h("p", { class: "note" });
  const field = svg("svg", { class: "histogram", role: "img" });
  const rowsBelow = h("div", { class: "limits", role: "radiogroup", "aria-label": "Judge as" });
  const sentence = h("p", { class: "sentence", role: "status" });

  const table = sortable({
    name: "ranges-table",
    caption: "",
    noun: "tensor",
    rows: seen,
    most: 24,
    columns: [
      {
        head: "Tensor", value: (t) => t.name,
        cell: (t) => [
          button(t.name || "output", () => choose(t), { class: "link" }),
          h("span", { class: "sub" }, `${t.role} ${t.shape}`, missing(t.values)),
          about.has(t.index)
            ? h("span", { class: "sub" }, plural(about.get(t.index).length, "finding").replace(/^1 /, ""), " ", findingLinks(about.get(t.index)))
            : null,
        ],
      },
      { head: "Format", word: true, value: (t) => t.format, cell: (t) => chip(t.format) },
      { head: "Range", value: (t) => t.values.largest, cell: (t) => strip(t) },
      {
        head: "Smallest", numeric: true, value: (t) => t.values.smallest,
        cell: (t) => figureOf(t.values.smallest),
      },
      {
        head: "Largest", numeric: true, value: (t) => t.values.largest,
        cell: (t) => figureOf(t.values.largest),
      },
      {
        head: "Overflow", numeric: true, value: (t) => t.losses[target]?.over ?? -1,
        cell: (t) => (t.losses[target] ? count(t.losses[target].over) : "\u2013"),
      },
      {
        head: "To zero", numeric: true, value: (t) => t.losses[target]?.under ?? -1,
        cell: (t) => (t.losses[target] ? count(t.losses[target].under) : "\u2013"),
      },
      {
        head: "SQNR", numeric: true,
        value: (t) => {
          const sqnr = t.losses[target]?.sqnr;
          return sqnr === "inf" ? Infinity : sqnr ?? -Infinity;
        },
        cell: (t) => decibels(t.losses[target]?.sqnr),
      },
      {
        head: "Verdict", word: true, value: (t) => String(VERDICTS.indexOf(t.losses[target]?.verdict)),
        cell: (t) => (t.losses[target] ? verdict(t.losses[target].verdict) : "\u2013"),
      },
    ],
    onrow: (row, t) => {
      row.dataset.tensor = t.index;
      row.classList.toggle("chosen", t === chosen);
    },
  });

  function strip(t) {
    const words = reach(t.values);
    return svg("svg", { class: "spark", "data-family": family(targets[target]?.name || t.format), viewBox: "0 0 160 24", role: "img", "aria-label": words },
      ...limitLines(targets[target], 160, 24),
      ...bars(t.values, targets[target] || {}, from, to, 160, 22, 24));
  }

  function limitLines(limits, width, tall) {
    if (!limits || limits.max === undefined) return [];
    const found = [];
    const low = x(limits.smallest - 1, width);
    const high = x(limits.max, width);
    if (low > 0) found.push(svg("rect", { class: "outside", x: 0, y: 0, width: low, height: tall }));
    if (high < width)
      found.push(svg("rect", { class: "outside", x: high, y: 0, width: width - high, height: tall }));
    return found;
  }

  const inputs = targets.map((limits, i) => {
    const input = h("input", {
      type: "radio", name: "target", value: limits.name, id: `target-${i}`,
      onchange: () => {
        target = i;
        draw();
        table.draw();
      },
    });
    const line = svg("svg", { class: "limit-line", "aria-hidden": "true", "data-family": family(limits.name) });
    const told = h("span", { class: "limit-told" });
    const label = h("label", { for: `target-${i}` }, h("span", { class: "limit-name" }, chip(limits.name)));
    const row = h("div", { class: "limit" }, input, label, line, told);
    rowsBelow.append(row);
    return { input, line, told, row, limits };
  });

  function choose(t) {
    chosen = t;
    draw();
    for (const row of document.querySelectorAll("#ranges-table tr[data-tensor]"))
      row.classList.toggle("chosen", Number(row.dataset.tensor) === t.index);
    title.setAttribute("tabindex", "-1");
    title.focus({ preventScroll: true });
    show(byId("range-picture"));
  }

  function inWords_(t, i) {
    const loss = t.losses[i];
    const { name, maxText, smallestText } = targets[i];
    if (!loss) return `${name}: not measured for this tensor`;
    const parts = [];
    const n = t.values.n;
    if (loss.over)
      parts.push(`${plural(loss.over, "value")} of ${count(n)} beyond ${maxText || "its range"}`);
    if (loss.nanLost) parts.push(`${plural(loss.nanLost, "NaN")} lost`);
    if (loss.under)
      parts.push(`${plural(loss.under, "value")} (${share(loss.under, n)}) become 0`
        + (smallestText ? `, below half of ${smallestText}` : ""));
    if (!parts.length) parts.push("the range holds every value");
    const sqnr = loss.sqnr === "inf" ? "" : `; SQNR ${decibels(loss.sqnr)}`;
    return `${name} ${loss.verdict}: ${parts.join(", ")}${sqnr}`;
  }

  function draw() {
    const { values } = chosen;
    const width = field.getBoundingClientRect().width || 600;
    const tall = 132;
    const limits = targets[target] || {};
    title.textContent = chosen.name || "output";
    const of = [
      `${chosen.role}, ${chosen.format} ${chosen.shape}`,
      `from ${figureOf(values.min)} to ${figureOf(values.max)}`,
    ];
    if (values.zeros) of.push(`${plural(values.zeros, "zero")} (${share(values.zeros, values.n)})`);
    if (values.nan) of.push(`${count(values.nan)} NaN`);
    if (values.infinite) of.push(`${count(values.infinite)} infinite`);
    if (chosen.place) of.push(`made at ${chosen.place}`);
    facts.textContent = of.join("; ");
    field.setAttribute(
      "aria-label",
      `Magnitudes of ${chosen.name}: ${reach(values)}`
      + (values.peak === null ? ". " : `, most, ${share(values.peakShare, 1)}, at 2^${values.peak}. `)
      + (targets.length ? inWords_(chosen, target) : ""),
    );
    field.setAttribute("data-family", family(limits.name || chosen.format));
    field.setAttribute("viewBox", `0 0 ${width} ${tall + 40}`);
    const step = width < 500 ? 12 : 6;
    const marks = [];
    for (let e = Math.ceil(from / step) * step; e <= to; e += step) marks.push(e);
    field.replaceChildren(
      ...limitLines(limits, width, tall),
      ...zoneNames(limits, width),
      ...bars(values, limits, from, to, width, tall - 26, tall),
      svg("text", { class: "axis-name", x: 2, y: 12 }, "values, logarithmic"),
      svg("text", { class: "axis-name", x: width / 2, y: tall + 34, "text-anchor": "middle" }, "magnitude, as a power of 2"),
      svg("line", { class: "base", x1: 0, x2: width, y1: tall, y2: tall }),
      ...marks.map((e) =>
        svg("text", { x: x(e, width), y: tall + 16, "text-anchor": x(e, width) < 14 ? "start" : x(e, width) > width - 14 ? "end" : "middle" },
          "2", svg("tspan", { dy: "-4", "font-size": "9" }, String(e).replace("-", "\u2212")))),
    );
    for (const { input, line, told, row, limits: own } of inputs) {
      const i = targets.indexOf(own);
      input.checked = i === target;
      row.classList.toggle("chosen", i === target);
      const w = line.getBoundingClientRect().width || 400;
      line.setAttribute("viewBox", `0 0 ${w} 16`);
      if (own.max === undefined) {
        line.replaceChildren(svg("text", { x: 0, y: 12, class: "quiet" }, own.ends ? `evenly spaced, ${own.ends}` : "its range is that of each row"));
      } else {
        const [low, normal, high] = [own.smallest, own.normal, own.max].map((e) => x(e, w));
        line.replaceChildren(
          svg("rect", { class: "subnormal", x: low, y: 5, width: Math.max(0, normal - low), height: 6 }),
          svg("rect", { class: "normal", x: normal, y: 5, width: Math.max(0, high - normal), height: 6 }),
        );
      }
      const loss = chosen.losses[i];
      told.replaceChildren(
        ...(loss
          ? [verdict(loss.verdict), h("span", { class: "sub" }, decibels(loss.sqnr))]
          : [h("span", { class: "sub" }, chosen.format === own.name ? "as it is" : "not measured")]),
      );
    }
    sentence.textContent = targets.length ? inWords_(chosen, target) : "";
    const as = targets[target]?.name;
    table.caption(
      `${plural(seen.length, "tensor")}${as ? `; overflow, values that become 0, SQNR and verdict as ${as}` : ""}`,
    );
  }

  function zoneNames(limits, width) {
    if (limits.max === undefined) return [];
    const low = x(limits.smallest - 1, width);
    const high = x(limits.max, width);
    const found = [];
    if (low > 70) found.push(svg("text", { class: "zone", x: low - 6, y: 30, "text-anchor": "end" }, "becomes 0"));
    if (width - high > 62) found.push(svg("text", { class: "zone", x: high + 6, y: 30 }, "overflows"));
    return found;
  }

  const picture = h("figure", { id: "range-picture", "aria-labelledby": "range-name" }, title, facts,
    h("div", { class: "range-grid" }, field, rowsBelow), sentence,
    h("figcaption", {},
      "Bars count values between two powers of 2, their height on a logarithmic scale. Below them each "
      + "format's range, pale where it is subnormal; red is what the chosen one cannot hold."));
  new ResizeObserver(draw).observe(field);
  if (!drawnLimits.length) rowsBelow.hidden = !targets.length;
  draw();
  const left = profile.left
    ? h("p", { class: "note" }, `${plural(profile.left, "smaller tensor")} left out here; --json has all.`)
    : null;
  const filter = filterBox({
    id: "filter-ranges", placeholder: "name, role, class, format", noun: "tensor",
    total: seen.length, only: table.only,
    words: (t) => [t.name, t.role, t.kind, t.format, t.place, t.losses[target]?.verdict].join(" "),
  });
  return {
    element: h("div", {}, picture, filter.element, table.element, left),
    choose: (row) => choose(tensors[row]),
  };
}
