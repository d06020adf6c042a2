"use strict";
// The feature browser. Every string of the run reaches the page through textContent, never as markup.
(() => {
  const byId = (id) => document.getElementById(id);
  const index = JSON.parse(byId("index").textContent);
  const PAGE = 150;
  const SVG = "http://www.w3.org/2000/svg";
  const REASONS = {
    too_few_positives: "too few firing windows",
    too_few_negatives: "too few silent windows",
    judge: "no answer from the judge",
  };
  const KINDS = { bin: "range", near_miss: "near miss", embedding_near: "alike", other: "other feature", same_document: "same document", same_family: "same family", wrong_marks: "wrong marks" };
  const features = index.features.map(([dictionary, feature, density, said, failure, f1, reasons], position) => ({
    dictionary, feature, density, said, failure, f1, reasons, position,
    text: said.join(" ").toLowerCase(), key: `${dictionary}/${feature}`,
  }));
  const chunks = new Map();
  let shown = [], nRendered = 0, current = null, onlyWrong = false;

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
  const figure = (value, digits = 3) => (value === undefined || value === null ? "–" : value.toFixed(digits));
  const signed = (value) => (value === undefined || value === null ? "–" : (value < 0 ? "−" : "+") + Math.abs(value).toFixed(3));
  const percent = (share) => `${Number((100 * share).toPrecision(3))}%`;

  function details(feature) {
    const number = Math.floor(feature.position / index.perChunk);
    if (!chunks.has(number)) chunks.set(number, JSON.parse(byId(`chunk-${number}`).textContent));
    return chunks.get(number)[feature.position % index.perChunk];
  }

  // The list
  const dictionary = byId("dictionary"), scorer = byId("scorer"), sort = byId("sort"), search = byId("search");
  const list = byId("list"), more = byId("more"), card = byId("card"), browser = byId("browser");
  const group = () => Number(scorer.value || 0);
  const head = () => index.heads[group()] || "F1";

  function fill() {
    dictionary.append(make("option", { value: "", textContent: "all" }));
    for (const name of new Set(features.map((f) => f.dictionary))) dictionary.append(make("option", { value: name, textContent: name }));
    index.groups.forEach((name, i) => scorer.append(make("option", { value: String(i), textContent: name })));
    byId("scorer-box").hidden = index.groups.length < 2;
  }

  function order(a, b) {
    const [what, way] = sort.value.split("-");
    let difference = 0;
    if (what !== "number") {
      const value = (f) => (what === "f1" ? f.f1[group()] : f.density);
      const [x, y] = [value(a), value(b)];
      // Features without a score stand last whichever way the rest is sorted.
      if ((x ?? null) === null || (y ?? null) === null) difference = ((x ?? null) === null) - ((y ?? null) === null);
      else difference = way === "up" ? x - y : y - x;
    }
    return difference || a.position - b.position;
  }

  function refresh() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    shown = features.filter((f) => (!dictionary.value || f.dictionary === dictionary.value)
      && words.every((word) => f.text.includes(word) || String(f.feature) === word));
    shown.sort(order);
    list.replaceChildren();
    nRendered = 0;
    extend();
    byId("count").textContent = shown.length === features.length ? "" : `${shown.length} of ${features.length} features`;
  }

  function extend() {
    for (const feature of shown.slice(nRendered, nRendered + PAGE)) list.append(make("li", {}, item(feature)));
    nRendered = Math.min(shown.length, nRendered + PAGE);
    more.hidden = nRendered >= shown.length;
    more.textContent = `Show ${Math.min(PAGE, shown.length - nRendered)} more of ${shown.length - nRendered}`;
  }

  function item(feature) {
    const f1 = feature.f1[group()];
    const score = (f1 ?? null) === null ? "not scored" : `${head()} ${figure(f1, 2)}`;
    const button = make("button", { type: "button", className: "item" },
      make("b", { textContent: `${feature.dictionary} ${feature.feature}` }),
      make("span", { className: f1 === undefined || f1 === null ? "f1 quiet" : "f1", textContent: score }),
      make("span", { className: "said", dir: "auto", textContent: feature.said[group()] || "no explanation" }));
    button.dataset.key = feature.key;
    if (feature.key === current) button.setAttribute("aria-current", "true");
    button.addEventListener("click", () => open(feature, true));
    return button;
  }

  // The card
  function open(feature, byUser) {
    current = feature.key;
    for (const button of list.querySelectorAll(".item")) {
      if (button.dataset.key === current) button.setAttribute("aria-current", "true"); else button.removeAttribute("aria-current");
    }
    if (byUser) {
      browser.classList.add("open");
      byId("features").classList.add("open");
      history.replaceState(null, "", `#${encodeURIComponent(feature.key)}`);
    }
    show(feature);
    if (byUser && matchMedia("(max-width: 760px)").matches) byId("features").scrollIntoView();
  }

  function show(feature) {
    const detail = details(feature), score = detail.scores[group()] || { unscored: "judge" };
    const back = make("button", { id: "back", type: "button", textContent: "Back to the list" });
    back.addEventListener("click", close);
    card.replaceChildren(
      back,
      make("div", { className: "card-head" },
        make("h3", { textContent: `${feature.dictionary} ${feature.feature}` }),
        make("span", { className: "quiet", textContent: `${detail.site} · ${index.groups[group()] || ""}` })),
      explanation(feature), facts(feature, detail, score), panels(detail));
    windows("Windows the judge was asked about", detail.judged, detail.nJudged, true, detail.max);
    windows("Strongest windows of the explain documents", detail.seen, detail.nSeen, false, detail.max);
  }

  function explanation(feature) {
    const said = feature.said[group()], failure = feature.failure[group()];
    const why = failure === "missing" ? "what it would be made from is missing" : `the reply was ${failure}`;
    const text = said || (failure ? `no explanation: ${why}` : "not explained");
    return make("p", { className: said ? "said-whole" : "said-whole none", dir: "auto", textContent: text });
  }

  function facts(feature, detail, score) {
    const lost = (score.unparsed || 0) + (score.refused || 0) + (score.error || 0);
    const headline = score.unscored
      ? [["not scored", REASONS[score.unscored] || score.unscored]]
      : [[head(), figure(score.score)], ...(index.columns[group()] || [])
          .filter(([key]) => score[key] !== undefined)
          .map(([key, name, isSigned]) => [name, isSigned ? signed(score[key]) : figure(score[key])])];
    const pairs = [];
    if (!score.unscored && score.precision !== undefined) {
      pairs.push(["precision, recall", `${figure(score.precision, 2)}, ${figure(score.recall, 2)}`], ["Matthews", signed(score.matthews)]);
    }
    if (score.interval) pairs.push([`${head()}, 95% over documents`, score.interval.map((x) => figure(x, 2)).join(" to ")]);
    if (!score.unscored) pairs.push(["asked about", `${score.n_positive} firing, ${score.n_negative} silent`]);
    if (lost) pairs.push(["lost answers", String(lost)]);
    pairs.push(["density", `${percent(feature.density)} of ${detail.nTokens.toLocaleString("en")} tokens`], ["fires", detail.rule],
      ["maximum", String(detail.max)]);
    if (detail.neuron) pairs.push(["best neuron", `${detail.neuron[0]} (r = ${detail.neuron[1].toFixed(2)})`]);
    return make("div", {}, described("facts headline", headline), described("facts", pairs));
  }

  function described(className, pairs) {
    return make("dl", { className },
      ...pairs.map(([name, value]) => make("div", {}, make("dt", { textContent: name }), make("dd", { textContent: value }))));
  }

  function panels(detail) {
    return make("div", { className: "panels" }, make("div", { className: "stack" }, histogram(detail), uses(detail.tokens)),
      effects("Promotes", detail.top), effects("Suppresses", detail.bottom));
  }

  function histogram({ edges, counts }) {
    const panel = make("div", { className: "panel" }, make("h4", { textContent: "Activations (log scale)" }));
    const peak = Math.max(...counts, 0);
    if (!peak) { panel.append(make("p", { className: "quiet", textContent: "none kept" })); return panel; }
    let first = 0, last = counts.length;
    while (!counts[first]) first += 1;
    while (!counts[last - 1]) last -= 1;
    const svg = draw("svg", { height: 112, role: "img", "aria-label": "activation histogram" });
    const step = 100 / (last - first);
    for (let i = first; i < last; i += 1) {
      const tall = counts[i] ? Math.max(1, (88 * counts[i]) / peak) : 0;
      const bar = draw("rect", { class: "bar", x: `${step * (i - first) + 0.4}%`, width: `${step - 0.8}%`, y: 92 - tall, height: tall });
      bar.append(draw("title", {}, `${counts[i]} firings from ${edges[i]} to ${edges[i + 1]}`));
      svg.append(bar);
    }
    svg.append(draw("line", { class: "floor", x1: "0%", x2: "100%", y1: 92, y2: 92 }),
      draw("text", { x: "0%", y: 107 }, String(edges[first])),
      draw("text", { x: "100%", y: 107, "text-anchor": "end" }, String(edges[last])));
    panel.append(svg);
    return panel;
  }

  function effects(title, pairs) {
    return listed(title, pairs.map(([text, logit]) => [text, signed(logit)]));
  }
  function uses(tokens) {
    return listed("Fires on (firings of occurrences)", tokens.map(([text, nFiring, n]) => [text, `${nFiring} of ${n}`]));
  }
  function listed(title, pairs) {
    const rows = pairs.map(([text, value]) => make("li", {}, make("code", { dir: "auto", textContent: visible(text) }),
      make("span", { className: "number", textContent: value })));
    return make("div", { className: "panel" }, make("h4", { textContent: title }),
      rows.length ? make("ul", { className: "effects" }, ...rows) : make("p", { className: "quiet", textContent: "none kept" }));
  }

  // Windows
  const SIGNS = { "\n": "↵", "\t": "⇥", "\r": "␍" };
  function visible(text) {
    return text.replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g,
      (c) => SIGNS[c] || `[${c.codePointAt(0).toString(16).padStart(4, "0")}]`);
  }

  function windows(title, all, n, isJudged, maximum) {
    const head = make("div", { className: "windows-head" },
      make("h4", { textContent: all.length < n ? `${title} (${all.length} of ${n})` : `${title} (${n})` }));
    const box = make("div");
    const render = () => {
      const wanted = isJudged && onlyWrong ? all.filter((w) => !isRight(w)) : all;
      box.replaceChildren(...wanted.map((w) => windowRow(w, isJudged, maximum)));
      if (!wanted.length) box.append(make("p", { className: "quiet", textContent: all.length ? "none was answered wrong" : "none" }));
    };
    if (isJudged && all.length) {
      const tick = make("input", { type: "checkbox", checked: onlyWrong });
      tick.addEventListener("change", () => { onlyWrong = tick.checked; render(); });
      head.append(make("label", {}, tick, "only wrong or lost answers"));
    }
    render();
    const nApart = isJudged ? all.filter(isApart).length : 0;
    const note = nApart ? make("p", { className: "quiet", textContent: `${nApart} of these are scored apart and not in ${index.heads[group()] || "F1"}.` }) : null;
    card.append(...[head, note, box].filter((part) => part !== null));
  }

  const isApart = (w) => w.apart && index.apart[group()];
  const isRight = (w) => w.answers[group()] === (w.fires ? "fires" : "silent");

  function windowRow(window, isJudged, maximum) {
    const side = make("div", { className: "verdict" },
      make("span", { className: "quiet", textContent: `${KINDS[window.kind] || window.kind}, ${window.fires ? "fires" : "silent"}${isJudged && isApart(window) ? `, not in ${head()}` : ""}` }));
    if (isJudged) {
      const answer = window.answers[group()];
      const lost = answer !== "fires" && answer !== "silent";
      const right = isRight(window);
      const text = !answer ? "not asked" : lost ? `– ${answer}` : right ? `✓ right` : `✗ wrong: said ${answer}`;
      side.prepend(make("span", { className: !answer ? "quiet" : lost ? "lost" : right ? "right" : "wrong", textContent: text }));
    }
    return make("div", { className: "window" }, side, tokens(window, maximum),
      make("div", { className: "source", textContent: `${window.doc} @ ${window.offset}` }));
  }

  function tokens(window, maximum) {
    const line = make("p", { className: "tokens", dir: "auto" });
    const strengths = new Map(window.acts);
    window.tokens.forEach((text, i) => {
      const span = make("span", { textContent: visible(text) });
      if (strengths.has(i)) {
        const value = strengths.get(i);
        span.classList.add("hot");
        span.style.setProperty("--share", String(Math.round(18 + (52 * Math.min(value, maximum)) / maximum)));
        span.title = `activation ${value}`;
      }
      if (i === window.mark) span.classList.add("mark");
      line.append(span);
      if (text.includes("\n")) line.append("\n");
    });
    return line;
  }
  function close() {
    browser.classList.remove("open");
    byId("features").classList.remove("open");
    const button = [...list.querySelectorAll(".item")].find((b) => b.dataset.key === current);
    if (button) { button.focus(); button.scrollIntoView({ block: "center" }); }
  }

  function step(by) {
    const at = shown.findIndex((f) => f.key === current);
    const next = Math.max(0, Math.min(shown.length - 1, at < 0 ? 0 : at + by));
    if (!shown[next]) return;
    while (next >= nRendered) extend();
    open(shown[next], true);
    const button = list.children[next].firstChild;
    button.focus({ preventScroll: true });
    button.scrollIntoView({ block: "nearest" });
  }

  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches("input, select, textarea");
    if (event.key === "Escape") { if (typing) event.target.blur(); else close(); return; }
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "/") { event.preventDefault(); close(); search.focus(); return; }
    const inside = event.target.closest("#browser");
    if (event.key === "j" || (event.key === "ArrowDown" && inside)) { event.preventDefault(); step(1); }
    if (event.key === "k" || (event.key === "ArrowUp" && inside)) { event.preventDefault(); step(-1); }
  });
  more.addEventListener("click", extend);
  dictionary.addEventListener("change", refresh);
  sort.addEventListener("change", refresh);
  search.addEventListener("input", refresh);
  scorer.addEventListener("change", () => { refresh(); const f = features.find((x) => x.key === current); if (f) show(f); });

  function follow() {
    const wanted = decodeURIComponent(location.hash.slice(1));
    const feature = features.find((f) => f.key === wanted);
    if (feature) { open(feature, true); byId("features").scrollIntoView(); }
    return Boolean(feature);
  }
  addEventListener("hashchange", follow);
  fill();
  refresh();
  if (!follow() && shown.length) open(shown[0], false);
})();
