"use strict";
// Windows: tokens with their activations, the judge's answers beside the truth, and the replies that they were read from.
const windows = (() => {
  const { make, visible, steering, isKnown, percent } = parts;
  const KINDS = { bin: "range", drawn: "drawn", near_miss: "near miss", embedding_near: "alike", other: "other feature", same_document: "same document", same_family: "same family", wrong_marks: "wrong marks" };
  const CONTROLS = { shuffled: "with the explanation of another feature", empty: "without an explanation", generic: "with a generic explanation" };
  const LONG = 44, AROUND = 16;

  // One tooltip for all tokens, by pointer and by touch.
  const tip = make("div", { id: "tip", role: "tooltip", hidden: true });
  document.body.append(tip);
  function point(event) {
    const token = event.target.closest?.(".tokens span");
    tip.hidden = !token || !token.about;
    if (tip.hidden) return;
    tip.textContent = token.about;
    const box = token.getBoundingClientRect();
    tip.style.left = `${Math.max(8, Math.min(box.left, innerWidth - tip.offsetWidth - 8))}px`;
    tip.style.top = `${box.top > tip.offsetHeight + 8 ? box.top - tip.offsetHeight - 4 : box.bottom + 4}px`;
  }
  document.addEventListener("pointerover", point);
  document.addEventListener("click", point);
  addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });

  function tokens(window, maximum, isCut) {
    const line = make("p", { className: "tokens", dir: "auto" });
    const strengths = new Map(window.acts);
    const [from, to] = isCut && window.tokens.length > LONG ? [window.mark - AROUND, window.mark + AROUND] : [0, window.tokens.length];
    if (from > 0) line.append("… ");
    window.tokens.forEach((text, i) => {
      if (i < from || i > to) return;
      const span = make("span", { textContent: visible(text) });
      const value = strengths.get(i) || 0;
      span.about = `activation ${value} · token ${window.ids[i]} · position ${window.offset + i}`;
      if (value) {
        span.classList.add("hot");
        span.style.setProperty("--share", String(Math.round(18 + (52 * Math.min(value, maximum)) / maximum)));
      }
      if (i === window.mark) span.classList.add("mark");
      line.append(span);
      if (text.includes("\n")) line.append("\n");
    });
    if (to < window.tokens.length - 1) line.append(" …");
    if (to - from >= window.tokens.length) return line;
    const more = make("button", { type: "button", className: "small", textContent: "more context" });
    const box = make("div", {}, line, more);
    more.addEventListener("click", () => box.replaceChildren(tokens(window, maximum, false)));
    return box;
  }

  const truth = (window) => (window.fires ? "fires" : "silent");
  const own = (window, group) => window.answers.find(([g, control]) => g === group && !control);
  const isRight = (window, group) => own(window, group)?.[2] === truth(window);
  const isLost = (answer) => answer !== "fires" && answer !== "silent";
  // How wrong: sure and wrong is worst, then wrong, then lost.
  function fault(window, group) {
    const answer = own(window, group);
    if (!answer || answer[2] === truth(window)) return 0;
    if (isLost(answer[2])) return 0.25;
    return isKnown(answer[3]) ? 0.5 + Math.abs(answer[3] - 0.5) : 0.75;
  }

  function reply(card, number, summary = "the judge’s reply") {
    const said = card.replies[number];
    if (!said) return null;
    const box = make("details", { className: "reply" }, make("summary", { textContent: summary }));
    box.addEventListener("toggle", () => {
      if (!box.open || box.childElementCount > 1) return;
      const cost = isKnown(said.usd) && said.usd > 0 ? ` · $${said.usd.toPrecision(3)}` : "";
      box.append(make("pre", { dir: "auto", tabIndex: 0, textContent: steering(said.text) }),
        make("p", { className: "source", textContent: `${said.model} · ended by ${said.finish} · ${said.tokens[0]} + ${said.tokens[1]} tokens${cost} · key ${said.key}` }));
    });
    return box;
  }

  function verdict(window, group, note) {
    const side = make("div", { className: "verdict" });
    const answer = own(window, group.number);
    if (!window.tokens.length && group.metric === "rubric" && !isLost(answer[2])) {
      side.append(make("span", { textContent: `${percent(answer[3])} of its points` }));
      return side;
    }
    if (answer) {
      const lost = isLost(answer[2]), right = answer[2] === truth(window);
      const text = lost ? `– ${answer[2]}` : right ? "✓ right" : `✗ wrong: said ${answer[2]}`;
      side.append(make("span", { className: lost ? "lost" : right ? "right" : "wrong", textContent: text }));
      if (isKnown(answer[3])) side.append(make("span", { className: "quiet", textContent: `P(fires) ${answer[3].toFixed(2)}` }));
    } else if (note !== undefined) side.append(make("span", { className: "quiet", textContent: "not asked" }));
    if (window.tokens.length) side.append(make("span", { className: "quiet", textContent: `${KINDS[window.kind] || window.kind}, ${truth(window)}${note || ""}` }));
    return side;
  }

  function controls(window, group) {
    const said = window.answers.filter(([g, control]) => g === group.number && control);
    return said.map(([, control, answer, probability]) => make("span", {
      className: "control",
      textContent: `${CONTROLS[control] || control}: ${answer}${isKnown(probability) ? ` (${probability.toFixed(2)})` : ""}`,
    }));
  }

  function judged(window, group, card, isApart) {
    const answer = own(window, group.number);
    const shown = window.tokens.length ? tokens(window, card.max, false) : make("p", { className: "quiet", textContent: "no window: a trial or a question of its own" });
    return make("div", { className: "window" }, verdict(window, group, isApart ? `, not in ${group.head}` : ""), make("div", {}, shown,
      make("div", { className: "source" }, window.tokens.length ? `${window.doc} @ ${window.offset}` : window.doc, ...controls(window, group)),
      answer && isKnown(answer[4]) ? reply(card, answer[4], `the judge’s reply, answer ${answer[5]} of ${card.replies[answer[4]].n}`) : null));
  }
  const example = (window, card) => make("div", { className: "window" },
    make("div", { className: "verdict" }, make("span", { className: "quiet", textContent: `max ${Math.max(...window.acts.map(([, a]) => a), 0)}` })),
    make("div", {}, tokens(window, card.max, true), make("div", { className: "source", textContent: `${window.doc} @ ${window.offset}` })));

  // Firing windows by interval of the activation range, the strongest interval first.
  function intervals(card) {
    const byBin = new Map();
    for (const window of card.seen) byBin.set(window.bin, [...(byBin.get(window.bin) || []), window]);
    const n = card.bins ? card.bins.length : Math.max(1, ...[...byBin.keys()].map((bin) => (bin ?? -1) + 1));
    return [...byBin].sort(([a], [b]) => (b ?? -1) - (a ?? -1)).map(([bin, members]) => {
      const share = card.bins && isKnown(bin) ? `: ${percent(card.bins[bin])} of all firings` : "";
      const title = isKnown(bin) ? `Interval ${bin + 1} of ${n}${share}` : "Firing windows";
      return make("section", { className: "interval" }, make("h5", { textContent: title }), ...members.map((w) => example(w, card)));
    });
  }
  return { judged, intervals, isRight, fault, own, reply, tokens };
})();
