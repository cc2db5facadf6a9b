// A model's bytes as a tree of modules, and the areas that picture it.

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
    if (role && depth > 1 && box.w > 84 && box.h > 22)
      area.append(h("span", { class: "inner-name" }, ROLES[role].toLowerCase()));
    return [put(area, box)];
  }
  return squarified(bySize(partsOf(part)), box).flatMap((placed) => {
    const gap = [0, 1.5, 1][depth] || 0;
    const room = { x: placed.x + gap, y: placed.y + gap, w: placed.w - 2 * gap, h: placed.h - 2 * gap };
    const [wide, high] = [null, [76, 34], [48, 44]][depth] || [140, 90]; // its name has room, and so has what is in it
    const named = isModule(placed.part) && room.w > wide && room.h > high;
    const rest = named ? { ...room, y: room.y + 17, h: room.h - 17 } : room;
    const found = innards(placed.part, rest, part, depth + 1);
    if (named) {
      const name = h("span", { class: "inner-name" }, nameOf(placed.part, part));
      found.push(put(name, { ...room, h: 17 }));
    }
    return found;
  });
}
