"use strict";
// One feature: explanation, figures, distributions, neighbours, verdicts and windows.
const cards = (() => {
  const { make, draw, isKnown, figure, signed, percent, count, described, panel, none, listed, bars, steering } = parts;
  const REASONS = { too_few_positives: "too few firing windows", too_few_negatives: "too few silent windows", judge: "no answer from the judge" };
  const LEVELS = [100, 50, 25, 10, 5];
  let onlyWrong = false;

  // `feature` is an item of the list, `link(number)` leads to another feature of its dictionary or is null.
  // `elsewhere(dictionary, number)` to one of another dictionary of its run; `same` are links to it in other runs.
  function show(place, feature, card, group, groups, { link, elsewhere, same }) {
    const score = card.scores[group.number] || { unscored: "judge" };
    place.append(
      explanation(card, group),
      facts(feature, card, group, score),
      scoreTable(card, group, groups),
      panels(card, group, score, { link, elsewhere, same }),
      verdicts("What the judge was asked about", card, group),
      examples(card));
  }

  function explanation(card, group) {
    const told = card.told.find((each) => each.explainer === group.explainer);
    const box = make("div", { className: "told" }, said(told));
    const others = card.told.filter((each) => each !== told);
    if (told && isKnown(told.reply)) box.append(windows.reply(card, told.reply, "how it was explained") || "");
    if (others.length) {
      box.append(make("details", {}, make("summary", { textContent: count(others.length, "other explanation") }),
        ...others.map((each) => make("div", {}, make("h5", { textContent: `${each.explainer} · ${each.judge}` }), said(each)))));
    }
    return box;
  }
  function said(told) {
    const why = told && told.failure === "missing" ? "what it would be made from is missing" : `the reply was ${told && told.failure}`;
    const text = told ? told.text || `no explanation: ${why}` : "not explained";
    return make("p", { className: told && told.text ? "said-whole" : "said-whole none", dir: "auto", textContent: steering(text) });
  }

  function facts(feature, card, group, score) {
    const lost = (score.unparsed || 0) + (score.refused || 0) + (score.error || 0);
    const headline = score.unscored
      ? [["not scored", REASONS[score.unscored] || score.unscored]]
      : [[group.head, figure(score.score)], ...group.columns.filter(([key]) => isKnown(score[key]))
          .map(([key, name, isSigned]) => [name, isSigned ? signed(score[key]) : figure(score[key])])];
    const pairs = [];
    if (!score.unscored && isKnown(score.precision)) {
      pairs.push(["precision, recall", `${figure(score.precision, 2)}, ${figure(score.recall, 2)}`], ["Matthews", signed(score.matthews)]);
    }
    if (score.interval) pairs.push([`${group.head}, 95% over documents`, score.interval.map((x) => figure(x, 2)).join(" to ")]);
    if (!score.unscored) pairs.push(["asked about", `${score.n_positive} firing, ${score.n_negative} silent`]);
    if (lost) pairs.push(["lost answers", String(lost)]);
    pairs.push(["density", `${percent(feature.density)} of ${card.nTokens.toLocaleString("en")} tokens`], ["fires", card.rule], ["maximum", String(card.max)]);
    if (card.neuron) pairs.push(["best neuron", `${card.neuron[0]} (r = ${card.neuron[1].toFixed(2)})`]);
    return make("div", {}, described("facts headline", headline), described("facts", pairs));
  }

  // Every scorer and explainer side by side, with the lines to beat and the controls.
  function scoreTable(card, group, groups) {
    const rows = groups.filter((each) => card.scores[each.number] && !card.scores[each.number].unscored);
    if (!rows.length) return make("div");
    const lookup = (s, each) => (each.metric === "f1" ? s.lookup_f1 : undefined);
    const yes = (s, each) => (each.metric === "f1" || each.metric === "macro_f1" ? s[`always_yes_${each.metric}`] : s.chance);
    const heads = ["scorer", "explainer", "score", "always yes or chance", "coin", "look-up", "other explanation", "empty", "generic"];
    const body = rows.map((each) => {
      const s = card.scores[each.number];
      const cells = [s.score, yes(s, each), each.metric === "f1" ? s.coin_f1 : undefined, lookup(s, each), s.shuffled_score, s.empty_score, s.generic_score];
      return make("tr", each === group ? { className: "current" } : {}, make("th", { scope: "row", textContent: each.scorer }, make("small", { textContent: each.head })),
        make("td", { textContent: each.explainer }, make("small", { textContent: each.judge })), ...cells.map((value) => make("td", { className: "number", textContent: figure(value) })));
    });
    return make("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": "Scores of this feature" },
      make("table", { className: "board scores" }, make("thead", {}, make("tr", {}, ...heads.map((text) => make("th", { scope: "col", textContent: text })))), make("tbody", {}, ...body)));
  }

  function panels(card, group, score, { link, elsewhere, same }) {
    const effects = (title, pairs) => listed(title, pairs.slice(0, 10).map(([text, logit]) => [text, signed(logit)]));
    const uses = listed("Fires on (firings of occurrences)", card.tokens.map(([text, nFiring, n]) => [text, `${nFiring} of ${n}`]));
    const boxes = [make("div", { className: "stack" }, activations(card), uses), make("div", { className: "stack" }, effects("Promotes", card.top), logits(card)),
      make("div", { className: "stack" }, effects("Suppresses", card.bottom), levels(group, score))];
    if (card.near.length) boxes.push(neighbours(card, link));
    if (card.relatives.length) {
      const rows = card.relatives.map(([dictionary, number, share]) => make("li", {}, elsewhere(dictionary, number), make("span", { className: "number", textContent: `${percent(share)} of the places` })));
      boxes.push(panel("Fire where it does, in other dictionaries", make("ul", { className: "effects" }, ...rows)));
    }
    if (same.length) boxes.push(panel("The same feature in other runs", make("ul", { className: "effects" }, ...same.map((each) => make("li", {}, each)))));
    if (card.pinned) {
      boxes.push(effects(`Raised when held at ${card.pinned.strength} (KL ${card.pinned.kl} nats)`, card.pinned.raised), effects("Lowered when held there", card.pinned.lowered));
    }
    return make("div", { className: "panels" }, ...boxes.filter((box) => box !== null));
  }

  function activations({ edges, counts }) {
    const title = "Activations (log scale)";
    let first = 0, last = counts.length;
    while (first < last && !counts[first]) first += 1;
    while (last > first && !counts[last - 1]) last -= 1;
    return panel(title, last > first ? bars("activation histogram", counts.slice(first, last), edges.slice(first, last + 1), "firings") : none());
  }
  function logits({ top, bottom }) {
    const values = [...bottom, ...top].map(([, logit]) => logit);
    if (values.length < 4) return null;
    const low = Math.min(...values), step = (Math.max(...values) - low || 1) / 20;
    const counts = new Array(20).fill(0);
    for (const value of values) counts[Math.min(19, Math.floor((value - low) / step))] += 1;
    return panel(`Logit effects (${top.length} strongest up, ${bottom.length} down)`,
      bars("histogram of logit effects", counts, counts.concat(0).map((_, i) => Number((low + i * step).toPrecision(2))), "tokens"));
  }
  function levels(group, score) {
    const known = (score.levels || []).map((value, i) => [LEVELS[i], value]).filter(([, value]) => isKnown(value));
    if (known.length < 2) return null;
    const svg = draw("svg", { height: 92, role: "img", "aria-label": "F1 by level" });
    const x = (i) => `${6 + (88 * i) / (known.length - 1)}%`, y = (value) => 68 - 60 * value;
    svg.append(draw("line", { class: "floor", x1: "0%", x2: "100%", y1: 68, y2: 68 }), draw("line", { class: "always-yes", x1: "0%", x2: "100%", y1: y(2 / 3), y2: y(2 / 3) }));
    known.forEach(([level, value], i) => {
      if (i) svg.append(draw("line", { class: "whisker", x1: x(i - 1), x2: x(i), y1: y(known[i - 1][1]), y2: y(value) }));
      const dot = draw("circle", { class: "dot", cx: x(i), cy: y(value), r: 3.5 });
      dot.append(draw("title", {}, `F1 ${figure(value)} over the strongest ${level}% of firings`));
      svg.append(dot, draw("text", { x: x(i), y: 84, "text-anchor": "middle" }, `${level}%`));
    });
    return panel("F1 when only the strongest firings count", svg);
  }
  function neighbours(card, link) {
    const rows = card.near.map(([number, cosine, together]) => make("li", {}, link(number) || make("span", { textContent: String(number) }),
      make("span", { className: "number", textContent: `cosine ${figure(cosine, 2)}, co-firing ${figure(together, 2)}` })));
    return panel("Nearest features", make("ul", { className: "effects" }, ...rows));
  }

  function verdicts(title, card, group) {
    // trials and questions of other scorers say nothing here
    const all = card.judged.filter((w) => w.tokens.length || windows.own(w, group.number)), isApart = (w) => Boolean(w.apart && group.apart);
    const tick = make("input", { type: "checkbox", checked: onlyWrong });
    const box = make("div");
    const heading = make("h4", { textContent: `${title} (${all.length}${card.judged.length < card.nJudged ? ` of ${card.nJudged}` : ""})` });
    const head = make("div", { className: "windows-head" }, heading);
    const worst = all.reduce((found, w) => (windows.fault(w, group.number) > (found ? windows.fault(found, group.number) : 0) && !isApart(w) ? w : found), null);
    const rows = new Map();
    const row = (w) => { const node = windows.judged(w, group, card, isApart(w)); rows.set(w, node); return node; };
    function render() {
      const wanted = onlyWrong ? all.filter((w) => !windows.isRight(w, group.number)) : all;
      const [apart, counted] = [wanted.filter(isApart), wanted.filter((w) => !isApart(w))];
      box.replaceChildren(...counted.map(row));
      if (apart.length) {
        box.append(make("h5", { className: "apart", textContent: `Near misses and other hard windows: ${apart.length} of these are scored apart and not in ${group.head}.` }), ...apart.map(row));
      }
      if (!wanted.length) box.append(none(all.length ? "none was answered wrong" : "none"));
    }
    if (all.length) {
      tick.addEventListener("change", () => { onlyWrong = tick.checked; render(); });
      head.append(make("label", {}, tick, "only wrong or lost answers"));
    }
    if (worst) {
      const jump = make("button", { type: "button", id: "worst", className: "small", textContent: "Worst verdict" });
      jump.addEventListener("click", () => {
        for (const node of rows.values()) node.classList.remove("worst");
        rows.get(worst).classList.add("worst");
        rows.get(worst).scrollIntoView({ block: "center" });
        rows.get(worst).querySelector("summary")?.focus({ preventScroll: true });
      });
      head.append(jump);
    }
    render();
    return make("section", {}, head, box);
  }
  function examples(card) {
    const title = `Firing windows of the explain documents (${card.seen.length < card.nSeen ? `${card.seen.length} of ` : ""}${card.nSeen})`;
    return make("section", {}, make("div", { className: "windows-head" }, make("h4", { textContent: title })), ...(card.seen.length ? windows.intervals(card) : [none("none")]));
  }
  return { show };
})();
