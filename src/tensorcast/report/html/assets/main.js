// Puts the page together.

function figure(name, value) {
  return h("div", {}, h("dt", {}, name), h("dd", {}, value));
}

// A row of them; the first begins with how many findings there are.
function figures(row) {
  const all = byId("figures");
  if (!all.children.length) row.unshift(figure("Findings", count(data.findings)));
  all.append(h("dl", { class: "figures" }, row));
}

// A button in a finding that leads to what it is about.
function offer(number, name, onclick) {
  byId(`finding-${number + 1}`)?.append(
    h("p", { class: "more" }, button([name, unseen(` (finding ${number + 1})`)], onclick)));
}

function asides(profile) {
  const { peak, smaller, notes, error } = profile;
  const told = [];
  if (peak) {
    const parts = [`At the peak of the forward ${bytes(peak.bytes)} of activations are alive`];
    if (peak.module) parts.push(`, in ${peak.module} (${peak.op.replace("aten::", "")})`);
    if (peak.saved) parts.push(`; ${bytes(peak.saved)} of them are kept for the backward pass`);
    parts.push(`; ${bytes(peak.after)} when it is done.`);
    if (peak.allocator) parts.push(` Torch's allocator held at most ${bytes(peak.allocator)}${
      peak.allocatorOp ? `, during ${peak.allocatorOp.replace("aten::", "")}` : ""}.`);
    told.push(parts.join(""));
  }
  if (smaller)
    told.push(`${plural(smaller, "smaller module is", "smaller modules are")} counted in the one they stand in.`);
  if (error) told.push(`The forward raised ${error}; what was seen before it is here.`);
  return [...told, ...notes].map((text) => h("p", { class: "note aside" }, text));
}

byId("switch").append(themeSwitch());

if (data.profile) {
  const { profile } = data;
  const total = (role) =>
    profile.sizes.reduce((sum, row) => sum + (profile.texts[row[0]] === role ? row[6] : 0), 0);
  const roles = Object.keys(ROLES).filter((role) => total(role));
  figures(roles.map((role) => figure(ROLES[role], bytes(total(role)))));
  byId("sizes").append(sizes(profile), ...asides(profile));
  byId("formats").append(candidates(profile));
  const drawn = ranges(profile);
  byId("ranges").append(drawn.element);
  const shown = new Set();
  for (const [number, row] of profile.found) {
    if (!shown.has(number)) offer(number, "Show its values", () => drawn.choose(row));
    shown.add(number);
  }
}

if (data.trace) {
  const { trace } = data;
  const sites = sitesOf(trace);
  const total = (key) => sites.reduce((sum, site) => sum + site[key], 0);
  figures([
    figure("Events", count(total("count") + trace.left.count)),
    figure("Moved", bytes(total("read") + total("written") + trace.left.bytes)),
    figure("In conversions", duration(total("seconds") + trace.left.seconds)),
    figure("Operations", count(trace.operations)),
    figure("Run time", duration(trace.seconds)),
  ]);
  const table = lines(trace, sites);
  byId("lines").append(table.element);
  byId("timeline").append(timeline(trace, sites, { onsite: table.mark }));
  const numbers = new Set(sites.flatMap((site) => site.findings));
  for (const number of numbers)
    offer(number, "Show its lines", () => {
      table.only(number);
      show(byId("lines"));
      byId("filter").focus({ preventScroll: true });
    });
}
// A link to a finding that is folded away unfolds it.
addEventListener("hashchange", () => {
  const folded = byId(location.hash.slice(1))?.parentElement.closest("details");
  if (folded) folded.open = true;
});

document.documentElement.dataset.ready = "";
