"use strict";
// Nodes and words. Every string of a run reaches the page through textContent, never as markup.
const parts = (() => {
  const SVG = "http://www.w3.org/2000/svg";
  const SIGNS = { "\n": "↵", "\t": "⇥", "\r": "␍" };

  function make(tag, properties = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (name in node) node[name] = value; else node.setAttribute(name, value);
    }
    node.append(...children.filter((child) => child !== null));
    return node;
  }
  function draw(tag, attributes, text) {
    const node = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    if (text !== undefined) node.textContent = text;
    return node;
  }
  const isKnown = (value) => value !== undefined && value !== null;
  const figure = (value, digits = 3) => (isKnown(value) ? value.toFixed(digits) : "–");
  const signed = (value) => (isKnown(value) ? (value < 0 ? "−" : "+") + Math.abs(value).toFixed(3) : "–");
  const percent = (share) => `${Number((100 * share).toPrecision(3))}%`;
  const count = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;
  // Control characters and those that turn the direction of text are spelled out.
  const visible = (text) => text.replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g,
    (c) => SIGNS[c] || `[${c.codePointAt(0).toString(16).padStart(4, "0")}]`);
  const steering = (text) => text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g, visible);

  const described = (className, pairs) => make("dl", { className },
    ...pairs.map(([name, value]) => make("div", {}, make("dt", { textContent: name }), make("dd", {}, value))));
  const panel = (title, ...content) => make("div", { className: "panel" }, make("h4", { textContent: title }), ...content);
  const none = (text = "none kept") => make("p", { className: "quiet", textContent: text });

  function listed(title, pairs) {
    const rows = pairs.map(([text, value]) => make("li", {}, make("code", { dir: "auto", textContent: visible(text) }),
      make("span", { className: "number", textContent: value })));
    return panel(title, rows.length ? make("ul", { className: "effects" }, ...rows) : none());
  }
  // Bars over one axis: counts in bins with their ends.
  function bars(label, counts, edges, unit) {
    const svg = draw("svg", { height: 112, role: "img", "aria-label": label });
    const peak = Math.max(...counts), step = 100 / counts.length;
    counts.forEach((n, i) => {
      const tall = n ? Math.max(1, (88 * n) / peak) : 0;
      const bar = draw("rect", { class: "bar", x: `${step * i + 0.4}%`, width: `${step - 0.8}%`, y: 92 - tall, height: tall });
      bar.append(draw("title", {}, `${n} ${unit} from ${edges[i]} to ${edges[i + 1]}`));
      svg.append(bar);
    });
    svg.append(draw("line", { class: "floor", x1: "0%", x2: "100%", y1: 92, y2: 92 }),
      draw("text", { x: "0%", y: 107 }, String(edges[0])),
      draw("text", { x: "100%", y: 107, "text-anchor": "end" }, String(edges[edges.length - 1])));
    return svg;
  }
  function save(name, type, text) {
    const link = make("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }
  return { byId: (id) => document.getElementById(id), make, draw, isKnown, figure, signed, percent, count, visible, steering, described, panel, none, listed, bars, save };
})();
