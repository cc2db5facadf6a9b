// What takes the memory: areas by module, coloured by format, to drill into.

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
        h("span", {}, ROLES[role]), " ", h("b", {}, bytes(total))],
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
            ? h("span", { class: "tile-head" }, h("span", {}, name), " ", h("b", {}, bytes(part.bytes)))
            : unseen(`${name} ${bytes(part.bytes)}`),
          unseen(`, ${share(part.bytes, root.bytes)}, open`),
          h("span", { "aria-hidden": "true" }, innards(part, { x: 0, y: headed ? 22 : 0, w: w - 4, h: tall - (headed ? 26 : 4) }, at, 1)),
        ];
        const attributes = { class: "tile", "data-family": family(format), title: words };
        const tile = opens(part)
          ? button("", () => go(part, true), attributes)
          : h("div", { ...attributes, "aria-hidden": "true" });
        tile.append(...content);
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
