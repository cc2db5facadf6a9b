// What takes the memory: areas by module, coloured by format, to drill into.

const ROLES = {
  parameter: "Parameters", buffer: "Buffers", tensor: "Tensors", gradient: "Gradients",
  optimizer: "Optimizer", input: "Inputs", activation: "Activations at the peak",
};

const rowsOf = (profile, columns, rows, texts) =>
  rows.map((row) =>
    Object.fromEntries(
      columns.map((column, i) => [column, texts.has(column) ? profile.texts[row[i]] : row[i]]),
    ),
  );

function treeOf(sizes, name) {
  const node = (title, path, parent) =>
    ({ name: title, path, parent, kind: "", children: new Map(), own: [], bytes: 0, n: 0 });
  const root = node(name, "", null);
  for (const size of sizes) {
    let at = root;
    for (const part of size.module ? size.module.split(".") : []) {
      if (!at.children.has(part))
        at.children.set(part, node(part, at.path ? `${at.path}.${part}` : part, at));
      at = at.children.get(part);
    }
    at.kind = size.kind || at.kind;
    at.own.push(size);
    for (let up = at; up; up = up.parent) {
      up.bytes += size.bytes;
      up.n += size.n;
    }
  }
  return root;
}

// A module with nothing but one module in it is passed through.
function inside(node) {
  while (node.children.size === 1 && !node.own.length) [node] = node.children.values();
  return node;
}

const partsOf = (node) => [
  ...[...node.children.values()].map(inside).filter((child) => child.bytes > 0),
  ...node.own.filter((size) => size.bytes > 0),
];
const isModule = (part) => Boolean(part.children);
const opens = (part) => isModule(part) && partsOf(part).length > 1;

function nameOf(part, within) {
  if (!isModule(part)) return `${ROLES[part.role].toLowerCase()}, ${part.format}`;
  const from = within.path ? within.path.length + 1 : 0;
  const rest = part.path.slice(from);
  // "0" says nothing by itself: "layer.0"
  return /^\d+$/.test(rest) && within.path ? `${within.path.split(".").pop()}.${rest}` : rest;
}

function formatsOf(part) {
  const found = new Map();
  const add = (size) => found.set(size.format, (found.get(size.format) || 0) + size.bytes);
  const walk = (node) => {
    if (!isModule(node)) return add(node);
    node.own.forEach(add);
    return node.children.forEach(walk);
  };
  walk(part);
  return [...found].filter(([, n]) => n).sort((a, b) => b[1] - a[1]);
}

// Rectangles of given areas, none thinner than it must be (Bruls, Huizing, van Wijk 2000).
function squarified(parts, box) {
  const placed = [];
  let { x, y, w, h: tall } = box;
  let rest = parts.reduce((sum, part) => sum + part.bytes, 0);
  const queue = [...parts];
  const worst = (row, sum, side, scale) => {
    const long = (sum * scale) / side;
    return Math.max(
      ...[row[0], row[row.length - 1]].map((part) => {
        const other = (part.bytes * scale) / long;
        return Math.max(long / other, other / long);
      }),
    );
  };
  while (queue.length && w > 0 && tall > 0) {
    const scale = (w * tall) / rest;
    const side = Math.min(w, tall);
    const row = [queue.shift()];
    let sum = row[0].bytes;
    while (queue.length) {
      const next = queue[0];
      if (worst([...row, next], sum + next.bytes, side, scale) > worst(row, sum, side, scale)) break;
      row.push(queue.shift());
      sum += next.bytes;
    }
    const thick = (sum * scale) / side;
    let offset = 0;
    for (const part of row) {
      const along = (part.bytes / sum) * side;
      placed.push({
        part,
        ...(w >= tall
          ? { x, y: y + offset, w: thick, h: along }
          : { x: x + offset, y, w: along, h: thick }),
      });
      offset += along;
    }
    if (w >= tall) [x, w] = [x + thick, w - thick];
    else [y, tall] = [y + thick, tall - thick];
    rest -= sum;
  }
  return placed;
}

const bySize = (parts) => [...parts].sort((a, b) => b.bytes - a.bytes);

function put(element, { x, y, w, h: tall }) {
  element.style.left = `${x}px`;
  element.style.top = `${y}px`;
  element.style.width = `${Math.max(0, w)}px`;
  element.style.height = `${Math.max(0, tall)}px`;
  return element;
}

// What a tile shows within: modules down to where they are too small to see.
function innards(part, box, within, depth) {
  if (!isModule(part) || box.w * box.h < 300 || depth > 6) {
    const [format] = formatsOf(part)[0] || [""];
    const role = isModule(part) ? null : part.role;
    const area = h("span", { class: "area", "data-family": family(format), "data-role": role });
    if (role && depth > 1 && depth <= 3 && box.w > 84 && box.h > 22)
      area.append(h("span", { class: "inner-name" }, ROLES[role].toLowerCase()));
    return [put(area, box)];
  }
  return squarified(bySize(partsOf(part)), box).flatMap((placed) => {
    const gap = [0, 1.5, 1][depth] || 0;
    const room = { x: placed.x + gap, y: placed.y + gap, w: placed.w - 2 * gap, h: placed.h - 2 * gap };
    const named = depth === 1 && room.w > 76 && room.h > 34 && isModule(placed.part);
    const rest = named ? { ...room, y: room.y + 17, h: room.h - 17 } : room;
    const found = innards(placed.part, rest, part, depth + 1);
    if (named) {
      const name = h("span", { class: "inner-name" }, nameOf(placed.part, part));
      found.push(put(name, { ...room, h: 17 }));
    }
    return found;
  });
}

function sizes(profile) {
  const all = rowsOf(
    profile, profile.columns.sizes, profile.sizes,
    new Set(["role", "module", "kind", "format", "device"]),
  );
  const roles = Object.keys(ROLES).filter((role) => all.some((s) => s.role === role && s.bytes));
  if (!roles.length) return h("p", { class: "note" }, "Nothing takes memory.");
  const drawn = new Set(roles);
  let root = null;
  let at = null;

  const crumbs = h("ol", { class: "crumbs" });
  const picture = h("div", { class: "treemap", role: "group", tabindex: "-1" });
  const legend = h("ul", { class: "legend" });
  const shares = h("div", { class: "shares", "aria-hidden": "true" });
  const table = sortable({
    name: "sizes-table",
    caption: "",
    noun: "module",
    rows: [],
    most: 24,
    columns: [
      {
        head: "Module", value: (p) => nameOf(p, at),
        cell: (p) =>
          opens(p)
            ? button(nameOf(p, at), () => go(p, true), { class: "link" })
            : h("span", { class: "module" }, nameOf(p, at)),
      },
      { head: "Class", word: true, value: (p) => p.kind || "", cell: (p) => p.kind || "" },
      {
        head: "Formats", value: (p) => formatsOf(p)[0]?.[0] || "",
        cell: (p) =>
          formatsOf(p).map(([format, n], i, found) => [
            i ? ", " : "", chip(format), found.length > 1 ? ` ${bytes(n)}` : "",
          ]),
      },
      { head: "Tensors", numeric: true, value: (p) => p.n, cell: (p) => count(p.n) },
      {
        head: "Bytes", numeric: true, value: (p) => p.bytes, cell: (p) => bytes(p.bytes),
        first: "descending",
      },
      {
        head: "Share", numeric: true, value: (p) => p.bytes,
        cell: (p) => share(p.bytes, root.bytes), title: "of all that is chosen above",
      },
    ],
  });

  const toggles = roles.map((role) => {
    const total = all.reduce((sum, s) => sum + (s.role === role ? s.bytes : 0), 0);
    const control = button(
      [h("span", { class: "area", "data-role": role, "aria-hidden": "true" }),
        h("span", {}, ROLES[role]), h("b", {}, bytes(total))],
      () => {
        if (drawn.has(role)) drawn.delete(role);
        else drawn.add(role);
        control.setAttribute("aria-pressed", String(drawn.has(role)));
        rebuild();
      },
      { class: "toggle", "aria-pressed": "true" },
    );
    return control;
  });

  function rebuild() {
    const path = at?.path || "";
    root = inside(treeOf(all.filter((s) => drawn.has(s.role)), profile.model));
    let now = root;
    for (;;) {
      const next = partsOf(now).find(
        (p) => opens(p) && (path === p.path || path.startsWith(`${p.path}.`)));
      if (!next) break;
      now = next;
    }
    go(now, false);
  }

  const trail = (node) => {
    const found = [];
    for (let up = node; up && up !== root; up = up.parent) if (inside(up) === up) found.unshift(up);
    return [root, ...found.filter((n) => n !== root)];
  };

  function go(node, focus) {
    at = node;
    const path = trail(at);
    crumbs.replaceChildren(
      ...path.map((node_, i) => {
        const name = i ? nameOf(node_, path[i - 1]) : [profile.model, root.path].filter(Boolean).join(" ");
        return h("li", {},
          i === path.length - 1
            ? h("span", { "aria-current": "location" }, name)
            : button(name, () => go(node_, true), { class: "link" }));
      }),
    );
    const what = `${path.length > 1 ? at.path : profile.model}: ${bytes(at.bytes)}`;
    picture.setAttribute("aria-label", `${what}. Areas by module; the table below has the same.`);
    table.replace(partsOf(at), `${what}, ${share(at.bytes, root.bytes)} of what is chosen`);
    draw();
    if (focus) {
      picture.focus({ preventScroll: true });
      say(what);
    }
  }

  function draw() {
    const box = picture.getBoundingClientRect();
    const parts = bySize(partsOf(at));
    picture.replaceChildren(
      ...squarified(parts, { x: 0, y: 0, w: box.width - 2, h: box.height - 2 }).map((placed) => {
        const { part, w, h: tall } = placed;
        const headed = w > 54 && tall > 34;
        const [format] = formatsOf(part)[0] || [""];
        const name = nameOf(part, at);
        const words = `${name}, ${bytes(part.bytes)}, ${share(part.bytes, root.bytes)}`;
        const content = [
          headed
            ? h("span", { class: "tile-head" }, h("span", {}, name), h("b", {}, bytes(part.bytes)))
            : null,
          ...innards(part, { x: 0, y: headed ? 22 : 0, w: w - 4, h: tall - (headed ? 26 : 4) }, at, 1),
        ];
        const attributes = { class: "tile", "data-family": family(format), title: words };
        const tile = opens(part)
          ? button("", () => go(part, true), { ...attributes, "aria-label": `${words}, open` })
          : h("div", attributes);
        tile.append(...content.filter(Boolean));
        return put(tile, { x: placed.x + 1, y: placed.y + 1, w: w - 2, h: tall - 2 });
      }),
    );
    const formats = formatsOf(at);
    legend.replaceChildren(
      ...formats.map(([format, n]) =>
        h("li", {}, h("span", { class: "swatch", "data-family": family(format), "aria-hidden": "true" }),
          chip(format), ` ${bytes(n)} `, h("span", { class: "sub" }, share(n, at.bytes)))),
    );
    shares.replaceChildren(
      ...formats.map(([format, n]) => {
        const bar = h("span", { "data-family": family(format) });
        bar.style.flexGrow = String(n);
        return bar;
      }),
    );
  }

  const figure_ = h(
    "figure",
    { class: "sizes" },
    h("div", { class: "tools toggles", role: "group", "aria-label": "What is counted" }, toggles),
    h("nav", { "aria-label": "Module shown" }, crumbs),
    shares,
    legend,
    picture,
    h("figcaption", {},
      "Areas are bytes; colours are number formats. A click or Enter opens a module, Escape goes up."),
    table.element,
  );
  figure_.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || at === root) return;
    event.preventDefault();
    const path = trail(at);
    go(path[path.length - 2], true);
  });
  rebuild();
  new ResizeObserver(draw).observe(picture);
  return figure_;
}
