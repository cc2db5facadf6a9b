// When conversions happened: a lane for each of the most expensive lines, a mark for each event.

const LANES = 12;

function eventsOf(flat) {
  const events = [];
  let at = 0;
  for (let i = 0; i < flat.length; i += 4) {
    at += flat[i];
    events.push({ at: at / 1e6, took: flat[i + 1] / 1e6, row: flat[i + 2], n: flat[i + 3] });
  }
  return events;
}

function lanesOf(events, sites) {
  const of = new Map();
  for (const event of events) {
    const lane = event.row >= 0 && event.row < sites.length ? event.row : -1;
    if (!of.has(lane)) of.set(lane, []);
    of.get(lane).push(event);
  }
  const drawn = [...of.keys()].filter((row) => row >= 0).sort((a, b) => a - b);
  const lanes = drawn.slice(0, LANES).map((row) => ({ site: sites[row], events: of.get(row) }));
  const rest = [...drawn.slice(LANES), -1].flatMap((row) => of.get(row) || []);
  if (rest.length) {
    const n = Math.max(drawn.length - LANES, 1);
    rest.sort((a, b) => a.at - b.at);
    lanes.push({ site: null, name: plural(n, "other line"), events: rest });
  }
  return lanes;
}

// The round steps that an axis of so many pixels has room for.
function ticks(from, to, width) {
  const rough = (to - from) / Math.max(2, width / 110);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough) || rough;
  const found = [];
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) found.push(at);
  const [scale, unit] = to - from >= 1 ? [1, "s"] : to - from >= 1e-3 ? [1e-3, "ms"] : [1e-6, "µs"];
  const places = Math.max(0, Math.ceil(-Math.log10(step / scale) - 1e-9));
  return found.map((at) => [at, `${(at / scale).toFixed(places)} ${unit}`]);
}

function timeline(trace, sites, { onsite }) {
  const events = eventsOf(trace.timeline.flat);
  if (!events.length) return h("p", { class: "note" }, "Nothing happened that has a time.");
  const lanes = lanesOf(events, sites);
  const margin = Math.max((trace.timeline.end - trace.timeline.begin) * 0.01, 1e-6);
  const whole = [trace.timeline.begin - margin, trace.timeline.end + margin];
  let [from, to] = whole;
  let chosen = { lane: null, index: -1 };

  const axis = svg("svg", { class: "axis", "aria-hidden": "true" });
  const density = svg("svg", { class: "strip density", "aria-hidden": "true" });
  const cursor = h("div", { class: "cursor", hidden: true });
  const brush = h("div", { class: "brush", hidden: true });
  const readout = h("output", { class: "readout", "aria-live": "polite" });
  const readoutHint = "Click a mark, or a line's name and then Previous and Next. Drag to zoom.";
  for (const lane of lanes) drawLane(lane);
  const field = h(
    "div",
    { class: "lanes" },
    h("div", { class: "lane head" }, h("span", {}, "All events"), density),
    lanes.map((lane) => lane.element),
    h("div", { class: "lane foot" }, h("span", { class: "axis-name" }, "Time since the start"), axis),
    cursor,
    brush,
  );

  function drawLane(lane) {
    const { site } = lane;
    const n = lane.events.reduce((sum, event) => sum + event.n, 0);
    const name = site ? [h("span", { class: "place" }, shortPlace(site)), " ", conversion(site)] : [lane.name];
    name.push(unseen(`${site ? `, ${KINDS[site.kind] || site.kind}` : ""}: ${plural(n, "event")}`));
    lane.control = button(name, () => choose(lane, chosen.lane === lane ? chosen.index : 0), {
      class: "lane-name",
      "aria-pressed": "false",
      title: site ? place(site) : null,
    });
    lane.control.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step || chosen.lane !== lane) return;
      event.preventDefault();
      choose(lane, chosen.index + step);
    });
    lane.strip = svg("svg", {
      class: "strip",
      "aria-hidden": "true",
      "data-family": site ? family(["cast", "promotion", "float64"].includes(site.kind) ? site.target : "") : "other",
    });
    lane.element = h("div", { class: "lane" }, lane.control, lane.strip);
    lane.strip.addEventListener("pointermove", (event) => {
      const near = nearest(lane, event);
      if (near >= 0 && brush.hidden) tell(lane, near);
    });
    lane.strip.addEventListener("click", (event) => {
      const near = nearest(lane, event);
      if (near >= 0) choose(lane, near);
    });
  }

  // a picture that paper, or a window being resized, stretches
  const stretched = (strip, width, tall) => {
    strip.setAttribute("viewBox", `0 0 ${width} ${tall}`);
    strip.setAttribute("preserveAspectRatio", "none");
    return strip;
  };
  const position = (at, width) => ((at - from) / (to - from)) * width;
  const widthOf = () => density.getBoundingClientRect().width || 600;

  function nearest(lane, pointer) {
    const box = lane.strip.getBoundingClientRect();
    const at = from + ((pointer.clientX - box.left) / box.width) * (to - from);
    let best = -1;
    lane.events.forEach((event, i) => {
      if (event.at + event.took < from || event.at > to) return;
      const far = (j) => {
        const e = lane.events[j];
        return at < e.at ? e.at - at : Math.max(0, at - e.at - e.took);
      };
      if (best < 0 || far(i) < far(best)) best = i;
    });
    return best;
  }

  function tell(lane, index) {
    const event = lane.events[index];
    const site = sites[event.row];
    const parts = [h("b", {}, duration(event.at))];
    if (site) {
      parts.push(" ", conversion(site));
      if (event.took) parts.push(`, took ${duration(event.took)}`);
      if (event.n > 1) parts.push(`, ${count(event.n)} events together`);
      parts.push(h("br"), h("span", { class: "place" }, place(site)));
      if (site.code) parts.push(" ", h("code", {}, site.code));
    } else parts.push(" a line that the table leaves out");
    readout.replaceChildren(...parts);
  }

  function choose(lane, index) {
    index = Math.min(Math.max(index, 0), lane.events.length - 1);
    if (chosen.lane) chosen.lane.control.setAttribute("aria-pressed", "false");
    chosen = { lane, index };
    lane.control.setAttribute("aria-pressed", "true");
    const event = lane.events[index];
    if (event.at < from || event.at > to) move(event.at - (from + to) / 2);
    tell(lane, index);
    draw();
    if (lane.site) onsite(lane.site);
  }

  function step(by) {
    if (chosen.lane) choose(chosen.lane, chosen.index + by);
    else choose(lanes[0], 0);
  }

  function look(a, b) {
    const least = 2e-6;
    const span = Math.min(Math.max(b - a, least), whole[1] - whole[0]);
    from = Math.min(Math.max((a + b - span) / 2, whole[0]), whole[1] - span);
    to = from + span;
    draw();
  }
  const move = (by) => look(from + by, to + by);
  const zoom = (factor) => {
    const event = chosen.lane?.events[chosen.index];
    const centre = event && event.at >= from && event.at <= to ? event.at : (from + to) / 2;
    look(centre - (centre - from) * factor, centre + (to - centre) * factor);
  };

  function draw() {
    const width = widthOf();
    const bins = new Float64Array(Math.max(1, Math.ceil(width / 4)));
    for (const lane of lanes) {
      let path = "";
      let last = -9;
      for (const event of lane.events) {
        if (event.at + event.took < from || event.at > to) continue;
        const x = position(event.at, width);
        bins[Math.min(bins.length - 1, Math.max(0, Math.floor(x / 4)))] += event.n;
        const wide = Math.max(2, position(event.at + event.took, width) - x);
        if (x + wide - last < 1) continue; // drawn already by its neighbour
        last = x + wide;
        path += `M${x.toFixed(1)} 4h${wide.toFixed(1)}v14h${(-wide).toFixed(1)}z`;
      }
      stretched(lane.strip, width, 22).replaceChildren(svg("path", { d: path }));
    }
    const top = Math.max(...bins, 1);
    let path = "";
    bins.forEach((n, i) => {
      if (n) {
        const tall = Math.max(2, 30 * Math.sqrt(n / top));
        path += `M${i * 4} 34h3v${-tall.toFixed(1)}h-3z`;
      }
    });
    stretched(density, width, 36).replaceChildren(svg("path", { d: path }));
    axis.replaceChildren(
      ...ticks(from, to, width).flatMap(([at, text]) => {
        const share_ = position(at, 100);
        const anchor = share_ < 4 ? "start" : share_ > 96 ? "end" : "middle";
        const x = `${share_.toFixed(3)}%`;
        return [
          svg("line", { x1: x, x2: x, y1: 0, y2: 5 }),
          svg("text", { x, y: 17, "text-anchor": anchor }, text),
        ];
      }),
    );
    const event = chosen.lane?.events[chosen.index];
    cursor.hidden = !event || event.at < from || event.at > to;
    if (!cursor.hidden) cursor.style.left = `${offset() + position(event.at, width)}px`;
  }

  const offset = () =>
    density.getBoundingClientRect().left - field.getBoundingClientRect().left;

  // drag to zoom
  let grabbed = null;
  field.addEventListener("pointerdown", (event) => {
    if (event.button === 0 && event.target.closest?.(".strip")) grabbed = event.clientX;
  });
  addEventListener("pointermove", (event) => {
    if (grabbed === null || Math.abs(event.clientX - grabbed) < 5) return;
    const left = field.getBoundingClientRect().left;
    const [a, b] = [grabbed, event.clientX].sort((x, y) => x - y);
    brush.hidden = false;
    brush.style.left = `${a - left}px`;
    brush.style.width = `${b - a}px`;
  });
  addEventListener("pointerup", (event) => {
    if (grabbed !== null && !brush.hidden) {
      const box = density.getBoundingClientRect();
      const at = (x) => from + ((x - box.left) / box.width) * (to - from);
      const [a, b] = [grabbed, event.clientX].sort((x, y) => x - y);
      look(at(a), at(b));
    }
    brush.hidden = true;
    grabbed = null;
  });

  const tools = h(
    "div",
    { class: "tools", role: "group", "aria-label": "Timeline" },
    button("Previous", () => step(-1), { "aria-label": "Previous event" }),
    button("Next", () => step(1), { "aria-label": "Next event" }),
    h("span", { class: "gap" }),
    button("+", () => zoom(0.4), { "aria-label": "Zoom in" }),
    button("\u2212", () => zoom(2.5), { "aria-label": "Zoom out" }),
    button("\u2190", () => move((from - to) / 3), { "aria-label": "Earlier" }),
    button("\u2192", () => move((to - from) / 3), { "aria-label": "Later" }),
    button("Whole", () => look(...whole), { "aria-label": "Whole timeline" }),
  );
  readout.append(readoutHint);
  new ResizeObserver(draw).observe(field);

  const { kept, events: n, moments } = trace.timeline;
  const parts = [
    `${plural(kept, "event")} in ${plural(lanes.length, "lane")}, from ${duration(trace.timeline.begin)} `,
    `to ${duration(trace.timeline.end)} after the start, the most expensive lines first.`,
  ];
  if (kept < n) parts.push(` They are an even sample of ${count(n)} events; the table counts all.`);
  if (moments) parts.push(" Events of a line close together are drawn as one.");
  if (sites.some((site) => site.worker)) parts.push(" Those of worker processes have no times here.");
  parts.push(" The table below holds the same lines with their numbers.");
  return h(
    "figure",
    { class: "timeline" },
    h("figcaption", {}, parts.join("")),
    tools,
    field,
    readout,
  );
}
