// Elements out of data. Text only ever becomes text: nothing here parses HTML.

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

function fill(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

const h = (name, attributes, ...children) =>
  fill(document.createElement(name), attributes, children);
const svg = (name, attributes, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);

// -- numbers as people read them, as tensorcast.words.units writes them --

const digits = (value) => (value < 9.995 ? 2 : value < 99.95 ? 1 : 0);

function bytes(n) {
  const units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
  if (n < 1000) return `${Math.round(n)} B`;
  let step = 0;
  for (; n >= 999.5 && step < units.length - 1; step += 1) n /= 1000;
  return `${n.toFixed(digits(n))} ${units[step]}`;
}

function duration(seconds) {
  if (!seconds) return "0";
  if (seconds >= 99.95) return `${Math.round(seconds)} s`;
  for (const [scale, unit] of [[1, "s"], [1e-3, "ms"], [1e-6, "µs"]]) {
    const value = seconds / scale;
    if (value >= 0.9995 || unit === "µs") return `${value.toFixed(digits(value))} ${unit}`;
  }
  return "";
}

const count = (n) => n.toLocaleString("en-US");
const plural = (n, noun, several) => `${count(n)} ${n === 1 ? noun : several || `${noun}s`}`;

function share(part, whole) {
  if (!whole) return "-";
  const value = (100 * part) / whole;
  if (part > 0 && value < 0.1) return "<0.1%";
  return `${value.toFixed(value < 9.95 ? 1 : 0)}%`;
}

// -- formats: a colour per family, the same in every picture --

function family(format) {
  if (/^(float64|complex128)/.test(format)) return "f64";
  if (/^(float32|complex64|tf32)/.test(format)) return "f32";
  if (/^bfloat16/.test(format)) return "bf16";
  if (/^(float16|complex32)/.test(format)) return "f16";
  if (/^float[4-8]/.test(format)) return "f8";
  if (/^(u?int|q?u?int|bits)/.test(format)) return "int";
  return "other";
}

const chip = (format) => h("span", { class: "chip", "data-family": family(format) }, format);

// Said, not shown.
const unseen = (text) => h("span", { class: "unseen" }, text);

const button = (name, onclick, attributes = {}) =>
  h("button", { type: "button", onclick, ...attributes }, name);

// What changes without the focus moving is said here.
const said = h("p", { class: "unseen", role: "status", "aria-live": "polite" });
document.body.append(said);
const say = (text) => {
  said.textContent = text;
};

const isStill = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
const show = (element) =>
  element.scrollIntoView({ behavior: isStill() ? "auto" : "smooth", block: "start" });
