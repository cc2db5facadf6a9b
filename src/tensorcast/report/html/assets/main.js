// Puts the page together.

function figure(name, value) {
  return h("div", {}, h("dt", {}, name), h("dd", {}, value));
}

byId("switch").append(themeSwitch());

if (data.trace) {
  const { trace } = data;
  const sites = sitesOf(trace);
  const total = (key) => sites.reduce((sum, site) => sum + site[key], 0);
  const found = document.querySelectorAll(".finding");
  byId("figures").append(
    figure("Findings", count(found.length)),
    figure("Events", count(total("count") + trace.left.count)),
    figure("Moved", bytes(total("read") + total("written") + trace.left.bytes)),
    figure("In conversions", duration(total("seconds"))),
    figure("Operations", count(trace.operations)),
    figure("Run time", duration(trace.seconds)),
  );
  const table = lines(trace, sites);
  byId("lines").append(table.element);
  byId("timeline").append(timeline(trace, sites, { onsite: table.mark }));
  found.forEach((item, number) => {
    if (!sites.some((site) => site.finding === number)) return;
    const see = button("Show its lines", () => {
      table.only(number);
      show(byId("lines"));
      byId("filter").focus({ preventScroll: true });
    }, { "aria-label": `Show the lines of finding ${number + 1}` });
    item.append(h("p", { class: "more" }, see));
  });
}
document.documentElement.dataset.ready = "";
