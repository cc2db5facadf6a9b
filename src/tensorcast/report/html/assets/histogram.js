// A tensor's values by powers of 2, and where a format's range ends.

function tensorsOf(profile) {
  const { columns, levels } = profile;
  const named = (names, row) => row && Object.fromEntries(names.map((name, i) => [name, row[i]]));
  const rows = rowsOf(profile, columns.tensors, profile.tensors,
    new Set(["name", "role", "kind", "format", "shape", "place", "note"]));
  return rows.map((row, index) => {
    const values = named(columns.values, row.values);
    if (values) values.heights = [...values.levels].map((c) => levels.indexOf(c) / (levels.length - 1));
    return { ...row, index, values, losses: row.losses.map((loss) => named(columns.losses, loss)) };
  });
}

const LEAST = -42;
const MOST = 66;

// Where a bar lies in a format: exponent e holds 2^e <= |x| < 2^(e+1).
function zone(e, limits) {
  if (limits.max === undefined) return "";
  if (e > limits.max) return "over";
  if (e + 1 <= limits.smallest - 1) return "under"; // half of the smallest and less becomes 0
  return e < limits.normal ? "subnormal" : "";
}

function bars(values, limits, from, to, width, tall, base) {
  const step = width / (to - from);
  const paths = {};
  const within = new Map();
  values.heights.forEach((height, i) => {
    const e = Math.min(Math.max(values.first + i, from), to - 1);
    within.set(e, Math.max(height, within.get(e) || 0));
  });
  within.forEach((height, e) => {
    if (!height) return;
    const kind = zone(e, limits) || "inside";
    const gap = step > 5 ? 1 : 0;
    const up = Math.max(1.5, height * tall);
    paths[kind] = `${paths[kind] || ""}M${((e - from) * step).toFixed(1)} ${base}h${(step - gap).toFixed(1)}`
      + `v${(-up).toFixed(1)}h${(gap - step).toFixed(1)}z`;
  });
  return Object.entries(paths).map(([kind, d]) => svg("path", { class: `bar-${kind}`, d }));
}

const reach = ({ first, heights }) =>
  heights.length ? `2^${first} to 2^${first + heights.length}` : "none but zeros, infinities and NaN";

function missing({ nan, infinite }) {
  const parts = [];
  if (nan) parts.push(`${count(nan)} NaN`);
  if (infinite) parts.push(`${count(infinite)} infinite`);
  return parts.map((part) => h("span", { class: "missing" }, `, ${part}`));
}
