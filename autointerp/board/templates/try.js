"use strict";
// A text tried on a run's model: what fires where, and a feature held while the text is gone on with.
(async () => {
  const { byId, make, count, figure, visible, steering } = parts;
  const { get, model, seconds } = asking;
  const [runBox, textBox, fired, status] = ["run", "text", "fired", "status"].map(byId);
  const hasBoard = Boolean(document.querySelector("main").dataset.board);
  let turn = 0, at = null, read = null, runs = [];

  const label = () => runs[Number(runBox.value)].label;
  const isFinished = () => runs[Number(runBox.value)].stages.every(([, done]) => done);
  const told = (place, found) => { place.textContent = `${found.about}: opened in ${seconds(found.opened_s)}, answered in ${seconds(found.took_s)}`; };
  const waiting = (place) => (s) => { place.textContent = `Opening the subject and its dictionaries… ${seconds(s)}`; };

  async function show(event) {
    event.preventDefault();
    const mine = ++turn;
    fired.replaceChildren();
    status.textContent = "Asking…";
    try {
      const found = await model("api/read", { run: Number(runBox.value), text: textBox.value }, waiting(status));
      if (mine !== turn) return;
      read = found;
      at = null;
      told(status, found);
      render();
    } catch (error) { if (mine === turn) status.textContent = error.message; }
  }
  // Features by their largest activation, or by the one at the token that was chosen.
  function render() {
    const strip = make("p", { className: "tokens strip", dir: "auto" });
    read.tokens.forEach((text, i) => {
      const token = make("button", { type: "button", textContent: visible(text), className: i === at ? "token mark" : "token" });
      token.setAttribute("aria-pressed", String(i === at));
      if (!token.textContent.trim()) token.setAttribute("aria-label", `space, token ${i}`);
      token.addEventListener("click", () => { at = i === at ? null : i; render(); fired.querySelectorAll(".token")[i].focus(); });
      strip.append(token);
    });
    fired.replaceChildren(make("h2", { textContent: "What fires" }),
      make("p", { className: "lead", textContent: at === null ? "Strongest anywhere first; choose a token for what fires there." : `What fires at token ${at}, strongest there first.` }),
      strip, ...read.dictionaries.map(shelf));
  }
  function shelf(found) {
    const here = (feature) => feature.acts.find(([i]) => i === at)?.[1] ?? 0;
    const shown = at === null ? found.features : found.features.filter(here).sort((a, b) => here(b) - here(a));
    const more = at === null && shown.length < found.n_firing ? `, the strongest ${shown.length} of them shown` : "";
    const rows = shown.map((feature) => row(found, feature, at === null ? feature.max : here(feature)));
    return make("section", {}, make("h3", { textContent: found.name }, make("span", { className: "aside", textContent: `${found.site} · ${count(at === null ? found.n_firing : shown.length, "feature")} fire${more}` })), ...rows);
  }
  function row(found, feature, value) {
    const name = `${found.name}/${feature.feature}`;
    const link = feature.is_sampled && hasBoard && isFinished()
      ? make("a", { href: `features.html#${encodeURIComponent(`${label()}/${name}`)}`, textContent: name })
      : make("b", { textContent: name });
    const hold = make("button", { type: "button", className: "small", textContent: "steer" });
    hold.setAttribute("aria-label", `Steer ${name}`);
    hold.addEventListener("click", () => { byId("feature").value = name; if (!feature.is_sampled) byId("strength").value = String(2 * feature.max); byId("steer").scrollIntoView(); byId("strength").focus(); });
    const strongest = feature.acts.reduce((best, each) => (each[1] > best[1] ? each : best))[0];
    const window = { tokens: read.tokens, ids: read.ids, acts: feature.acts, mark: at ?? strongest, offset: 0 };
    return make("div", { className: "window" }, make("div", { className: "verdict" }, link, make("span", { className: "quiet", textContent: String(value) }), hold),
      make("div", {}, make("p", { className: feature.told ? "short" : "short quiet", dir: "auto", textContent: steering(feature.told || "not explained") }),
        windows.tokens(window, feature.max, true)));
  }

  async function sample(event) {
    event.preventDefault();
    const place = byId("steered-status");
    if (!textBox.reportValidity()) return;
    place.textContent = "Asking…";
    byId("steered").replaceChildren();
    const number = (id) => Number(byId(id).value);
    const asked = { run: Number(runBox.value), feature: byId("feature").value.trim(), prompt: textBox.value, strength: byId("strength").value.trim(), at: byId("at").value.trim(), tokens: number("tokens"), temperature: number("temperature"), seed: number("seed") };
    try {
      const found = await model("api/steer", asked, waiting(place));
      told(place, found);
      const moved = (title, tokens) => parts.listed(title, tokens.map(([text, plain, held]) => [text, `${figure(plain)} → ${figure(held)}`]));
      const own = found.own === null ? "" : `, its own largest value there ${figure(found.own)}`;
      byId("steered").replaceChildren(
        make("h3", { textContent: `${asked.feature} at ${found.point} held at ${figure(found.value)}` }),
        make("p", { className: "quiet", textContent: `The next token’s distribution moves by KL ${figure(found.kl, 4)} nats${own}.` }),
        make("div", { className: "panels two" }, continued("Without", asked.prompt, found.plain), continued("Held", asked.prompt, found.steered)),
        make("div", { className: "panels two" }, moved("Raised as the next token", found.raised), moved("Lowered", found.lowered)));
    } catch (error) { place.textContent = error.message; }
  }
  const continued = (title, prompt, text) => parts.panel(title, make("p", { className: "sampled", dir: "auto" }, make("span", { className: "quiet", textContent: steering(prompt) }), make("span", { textContent: steering(text) })));

  byId("read").addEventListener("submit", show);
  byId("steer").addEventListener("submit", sample);
  textBox.addEventListener("keydown", (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) byId("read").requestSubmit(); });
  try { runs = await get("api/runs"); } catch (error) { status.textContent = error.message; return; }
  runs.forEach((run, i) => runBox.append(make("option", { value: String(i), textContent: run.has_weights ? run.label : `${run.label} (no weights here)`, disabled: !run.has_weights })));
  const open = runs.findIndex((run) => run.has_weights);
  if (open < 0) { status.textContent = "None of the runs has weights here; a run that was made by `rescore` has them in the run that it was made from."; return; }
  runBox.value = String(open);
  // #LABEL/DICTIONARY/INDEX from a feature's page
  const wanted = decodeURIComponent(location.hash.slice(1));
  const of = runs.findIndex((run) => run.has_weights && wanted.startsWith(`${run.label}/`));
  if (of >= 0) { runBox.value = String(of); byId("feature").value = wanted.slice(runs[of].label.length + 1); }
})();
