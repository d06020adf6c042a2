"use strict";
// One run, read again every few seconds: stages, pace, money, answers, last replies, journal and log.
(async () => {
  const { byId, make, isKnown, count, percent, described, none, steering } = parts;
  const { get, post, seconds } = asking;
  const EVERY_MS = 2500;
  const [which, status] = ["which", "status"].map(byId);
  let runs = [], shownReplies = "";

  const asUsd = (usd) => `$${usd < 0.01 && usd > 0 ? usd.toPrecision(2) : usd.toFixed(2)}`;
  const clock = (at) => new Date(1000 * at).toLocaleTimeString("en-GB");
  const title = (run) => `${run.label}${run.is_at_work ? " · at work" : run.stages.every(([, done]) => done) ? " · done" : " · stopped"}`;

  async function refresh() {
    try {
      runs = await get("api/runs");
      if (which.options.length !== runs.length) {
        which.replaceChildren(...runs.map((_, i) => make("option", { value: String(i) })));
        which.value = String(Math.max(0, runs.findIndex((run) => run.is_at_work)));
      }
      runs.forEach((run, i) => { if (which.options[i].textContent !== title(run)) which.options[i].textContent = title(run); });
      const number = Number(which.value), found = await post("api/run", { run: number });
      if (number === Number(which.value)) show(runs[number], found);
      status.textContent = "";
    } catch (error) { status.textContent = error.message; }
  }
  function show(run, found) {
    byId("name").textContent = run.label;
    byId("stages").replaceChildren(...found.stages.map(([name, done]) => make("li", { className: done ? "done" : "", textContent: `${done ? "✓ " : ""}${name}` })));
    byId("doing").replaceChildren(...(found.doing.length ? found.doing.map(doing) : [none(run.is_at_work ? "At work." : "No process works on it now.")]));
    byId("figures").replaceChildren(figures(found));
    byId("log").textContent = found.log.map(steering).join("\n") || "There is no log yet.";
    const last = found.journal ? found.journal.last : [], key = JSON.stringify(last.map((each) => each.key));
    if (key !== shownReplies) { // what the reader has opened stays open while nothing new came
      shownReplies = key;
      byId("last").replaceChildren(...(last.length ? last.map(asked) : [none("Nothing has been asked yet.")]));
    }
  }
  function doing(now) {
    const left = isKnown(now.eta_s) ? `, ${seconds(now.eta_s)} left` : "";
    const done = now.total ? `${now.done.toLocaleString("en")} of ${now.total.toLocaleString("en")} ${now.unit}` : now.done ? `${now.done.toLocaleString("en")} ${now.unit}` : "";
    const bar = make("progress", { max: now.total || 1 });
    if (now.total) bar.value = now.done;
    bar.setAttribute("aria-label", now.label);
    return make("div", { className: "doing" }, make("b", { textContent: now.label }), bar,
      make("p", { className: "quiet", textContent: `${done}${left}${now.note ? ` · ${now.note}` : ""} · for ${seconds(now.at - now.began_at)}, said at ${clock(now.at)}` }));
  }
  function figures(found) {
    const journal = found.journal;
    if (!journal) return none("It has asked no judge yet.");
    const share = (value) => (isKnown(value) ? percent(value) : "–");
    const money = `${asUsd(journal.usd)}${isKnown(found.max_usd) ? ` of ${asUsd(found.max_usd)} at most` : ""}${journal.n_unpriced ? ` + ${count(journal.n_unpriced, "reply")} unpriced` : ""}`;
    return described("facts", [
      ["spent", money], ["replies in the last minute", `${journal.replies_per_s.toFixed(1)} a second`],
      ["requests sent", journal.n_sent.toLocaleString("en")], ["from the shared cache", journal.n_from_cache.toLocaleString("en")],
      ["failed attempts", journal.n_failed_attempts.toLocaleString("en")], ["tokens in, out", `${journal.input_tokens.toLocaleString("en")}, ${journal.output_tokens.toLocaleString("en")}`],
      ["explanations", journal.n_explanations.toLocaleString("en")], ["verdicts", journal.n_verdicts.toLocaleString("en")],
      ["unparsed", share(journal.unparsed_frac)], ["refused", share(journal.refused_frac)],
      ["last reply", isKnown(journal.last_at) ? clock(journal.last_at) : "–"]]);
  }
  function asked(each) {
    const about = each.dictionary === null ? "" : ` ${each.dictionary}/${each.feature}`;
    const title = `${each.scorer || "explain"}${about}${each.control ? `, control ${each.control}` : ""}`;
    const box = make("details", {}, make("summary", { textContent: "the question" }));
    box.addEventListener("toggle", () => {
      if (box.open && box.childElementCount === 1) box.append(...each.question.map(([role, text]) => make("div", {}, make("h4", { textContent: role }), make("pre", { dir: "auto", tabIndex: 0, textContent: steering(text) }))));
    });
    const cost = isKnown(each.usd) ? ` · ${asUsd(each.usd)}` : "";
    return make("article", { className: "reply asked" }, make("h3", { textContent: title }), make("pre", { dir: "auto", tabIndex: 0, textContent: steering(each.text) }),
      make("p", { className: "source", textContent: `${each.model} · ${clock(each.at)} · ${seconds(each.latency_s)} · ended by ${each.finish} · ${each.input_tokens} + ${each.output_tokens} tokens${cost} · key ${each.key.slice(0, 12)}` }), box);
  }
  const failed = (each) => make("article", { className: "reply asked" }, make("h3", { textContent: `${each.error_class}, try ${each.attempt}${each.dictionary === null ? "" : `, ${each.dictionary}/${each.feature} ${each.scorer || "explain"}`}` }),
    make("pre", { dir: "auto", tabIndex: 0, textContent: steering(each.message) }), make("p", { className: "source", textContent: `${clock(each.at)} · ${seconds(each.latency_s)} · key ${each.key.slice(0, 12)}` }));

  async function journal(path, body, render, words) {
    const place = byId("found");
    place.textContent = "Asking…";
    byId("asked").replaceChildren();
    try {
      const found = await post(path, { run: Number(which.value), ...body });
      place.textContent = words(found.length);
      byId("asked").replaceChildren(...found.map(render));
    } catch (error) { place.textContent = error.message; }
  }
  byId("about").addEventListener("submit", (event) => {
    event.preventDefault();
    const feature = byId("feature").value.trim();
    journal("api/feature", { feature }, asked, (n) => (n ? `${count(n, "question")} about ${feature}` : `nothing was asked about ${feature}`));
  });
  byId("failed").addEventListener("click", () => journal("api/failures", {}, failed, (n) => (n ? `the last ${count(n, "attempt")} that failed` : "no attempt failed")));
  which.addEventListener("change", () => { byId("asked").replaceChildren(); byId("found").textContent = ""; shownReplies = ""; refresh(); });
  await refresh();
  const wanted = runs.findIndex((run) => run.label === decodeURIComponent(location.hash.slice(1)));
  if (wanted >= 0) { which.value = String(wanted); await refresh(); }
  setInterval(() => { if (!document.hidden) refresh(); }, EVERY_MS);
})();
