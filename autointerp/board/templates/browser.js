"use strict";
// The feature browser: a list to filter, sort and search, and the card of the feature that is open.
(async () => {
  const { byId, make, isKnown, figure, count, steering } = parts;
  const PAGE = 150;
  const [shelfBox, scorerBox, sortBox, wayBox, filterBox, search, deep] = ["dictionary", "scorer", "sort", "way", "filter", "search", "deep"].map(byId);
  const list = byId("list"), more = byId("more"), place = byId("card"), browser = byId("browser"), status = byId("count");

  const catalog = await source.read("catalog");
  const groups = catalog.groups.map((group, number) => ({ ...group, number }));
  const shelves = catalog.shelves.map((shelf, number) => ({ ...shelf, number }));
  const isSite = shelves.some((shelf) => shelf.run);
  let open = null, shown = [], features = [], nRendered = 0, turn = 0, found = null;

  const group = () => groups[Number(scorerBox.value || 0)] || { number: -1, head: "F1", metric: "f1", columns: [], explainer: "", apart: true };
  const chosen = () => (shelfBox.value === "" ? shelves : [shelves[Number(shelfBox.value)]]);

  // Data
  const attempt = (act) => () => act().catch((error) => { status.textContent = error.message; });
  // What was loaded is kept; what could not be is tried again.
  const once = (holder, name, load) => (holder[name] ||= load().catch((error) => { holder[name] = null; throw error; }));
  function stock(shelf) {
    return once(shelf, "stock", () => Promise.all([source.read(`${shelf.number}/columns`), source.read(`${shelf.number}/texts`)]).then(([columns, texts]) => {
      Object.assign(shelf, { columns, texts });
      shelf.features = columns.feature.map((number, at) => ({ shelf, at, number, density: columns.density[at], key: `${shelf.label}/${number}` }));
      shelf.byNumber = new Map(shelf.features.map((feature) => [feature.number, feature]));
    }));
  }
  const metrics = (shelf) => once(shelf, "reading", () => source.read(`${shelf.number}/metrics`).then((table) => { shelf.metrics = table; }));
  const column = (feature, name) => feature.shelf.columns.groups[group().number]?.[name]?.[feature.at];
  const told = (feature) => feature.shelf.texts.said[group().explainer]?.[feature.at] || "";
  const said = (feature) => (told(feature).startsWith("\0") ? "" : told(feature));
  const cardOf = async (feature) => (await source.page(`${feature.shelf.number}/${Math.floor(feature.at / catalog.perPage)}`))[feature.at % catalog.perPage];
  function haystack(feature) {
    if (feature.hay === undefined) {
      const texts = Object.values(feature.shelf.texts.said).map((column) => column[feature.at] || "");
      feature.hay = [...texts, ...feature.shelf.texts.tokens[feature.at]].join(" ").toLowerCase();
    }
    return feature.hay;
  }

  // What is shown
  const isScored = (f) => isKnown(column(f, "score"));
  const FILTERS = [["", "all", () => true], ["scored", "scored", isScored], ["unscored", "not scored", (f) => !isScored(f)],
    ["wrong", "with wrong answers", (f) => column(f, "wrong") > 0], ["lost", "with lost answers", (f) => column(f, "lost") > 0],
    ["failed", "without an explanation", (f) => f.shelf.columns.failed[f.at]], ["star", "flagged", (f) => marks.of(f.key).star], ["note", "with a note", (f) => marks.of(f.key).note]];
  const VALUES = { score: (f) => column(f, "score"), wrong: (f) => column(f, "wrong"), density: (f) => f.density, max: (f) => f.shelf.columns.max[f.at], number: (f) => f.number };
  const valueOf = (name) => VALUES[name] || ((f) => f.shelf.metrics?.[group().number]?.[name]?.[f.at]);

  function fill() {
    if (!isSite || shelves.length > 1) shelfBox.append(make("option", { value: "", textContent: isSite ? "all (loads every one)" : "all" }));
    for (const shelf of shelves) shelfBox.append(make("option", { value: String(shelf.number), textContent: `${shelf.label}${isSite ? ` · ${shelf.site}` : ""}` }));
    for (const one of groups) scorerBox.append(make("option", { value: String(one.number), textContent: one.name }));
    byId("scorer-box").hidden = groups.length < 2;
    const options = [["score", "score"], ["wrong", "wrong answers"], ["density", "density"], ["max", "maximum"], ["number", "number"]];
    const known = new Set(options.map(([name]) => name));
    const titles = catalog.metrics.filter(([name]) => !known.has(name));
    for (const [value, textContent] of options.concat(titles)) sortBox.append(make("option", { value, textContent }));
    for (const [value] of FILTERS) filterBox.append(make("option", { value }));
  }
  function tally() {
    FILTERS.forEach(([, text, is], i) => { filterBox.options[i].textContent = `${text} (${features.filter(is).length.toLocaleString("en")})`; });
  }

  function order(value, way) {
    const up = way === "up" ? 1 : -1;
    return (a, b) => {
      const [x, y] = [value.get(a), value.get(b)];
      // Features without a value stand last whichever way the rest is sorted.
      const difference = isKnown(x) && isKnown(y) ? up * (x - y) : isKnown(y) - isKnown(x);
      return difference || a.shelf.number - b.shelf.number || a.at - b.at;
    };
  }

  async function refresh() {
    const mine = ++turn;
    const own = chosen();
    await Promise.all(own.map(stock));
    // A dictionary that the chosen scorer was not asked about is shown under the first that was.
    const asked = own.map((shelf) => shelf.columns.groups);
    if (!asked.some((known) => known[scorerBox.value]) && asked.some((known) => Object.keys(known).length)) {
      scorerBox.value = Object.keys(asked.find((known) => Object.keys(known).length))[0];
    }
    if (!VALUES[sortBox.value]) await Promise.all(own.map(metrics));
    if (mine !== turn) return;
    features = own.flatMap((shelf) => shelf.features);
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean), is = FILTERS.find(([name]) => name === filterBox.value)[2];
    shown = features.filter((f) => is(f) && (found?.has(f) || words.every((word) => haystack(f).includes(word) || String(f.number) === word)));
    const read = valueOf(sortBox.value), value = new Map(shown.map((f) => [f, read(f)]));
    shown.sort(order(value, wayBox.value));
    list.replaceChildren();
    nRendered = 0;
    extend();
    tally();
    deep.hidden = !words.length;
    status.textContent = shown.length === features.length ? "" : `${shown.length.toLocaleString("en")} of ${count(features.length, "feature")}`;
  }

  // The texts of all windows, page by page; what was found is added to the list.
  async function searchWindows() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean), mine = turn, hits = new Set();
    const holds = (window) => { const text = window.tokens.join("").toLowerCase(); return words.every((word) => text.includes(word)); };
    for (const shelf of chosen()) {
      const n = Math.ceil(shelf.features.length / catalog.perPage);
      for (let number = 0; number < n; number += 1) {
        const page = await source.page(`${shelf.number}/${number}`);
        if (mine !== turn) return; // another search began
        page.forEach((card, i) => { if ([...card.seen, ...card.judged].some(holds)) hits.add(shelf.features[number * catalog.perPage + i]); });
        if (number % 10 === 9) status.textContent = `${shelf.label}: page ${number + 1} of ${n}, ${hits.size} found`;
      }
    }
    found = hits;
    await refresh();
    found = null;
  }

  function extend() {
    for (const feature of shown.slice(nRendered, nRendered + PAGE)) list.append(make("li", {}, item(feature)));
    nRendered = Math.min(shown.length, nRendered + PAGE);
    more.hidden = nRendered >= shown.length;
    more.textContent = `Show ${Math.min(PAGE, shown.length - nRendered)} more of ${(shown.length - nRendered).toLocaleString("en")}`;
  }
  function item(feature) {
    const score = column(feature, "score"), sorted = sortBox.value;
    const value = sorted in VALUES && sorted !== "wrong" ? score : valueOf(sorted)(feature);
    const head = sorted in VALUES && sorted !== "wrong" ? group().head : sortBox.selectedOptions[0].textContent;
    const text = isKnown(value) ? `${head} ${figure(value, sorted === "wrong" ? 0 : 2)}` : "not scored";
    const mark = marks.of(feature.key);
    const button = make("button", { type: "button", className: "item" },
      make("b", { textContent: `${feature.shelf.dictionary} ${feature.number}${mark.star ? " ★" : ""}${mark.note ? " ✎" : ""}` }),
      make("span", { className: isKnown(value) ? "f1" : "f1 quiet", textContent: text }),
      make("span", { className: "said", dir: "auto", textContent: steering(said(feature)) || "no explanation" }));
    button.feature = feature;
    if (feature === open) button.setAttribute("aria-current", "true");
    button.addEventListener("click", () => show(feature, true));
    return button;
  }
  const buttons = () => [...list.querySelectorAll(".item")];

  // The card
  async function show(feature, byUser) {
    open = feature;
    for (const button of buttons()) {
      if (button.feature === open) button.setAttribute("aria-current", "true"); else button.removeAttribute("aria-current");
    }
    if (byUser) {
      browser.classList.add("open");
      byId("features").classList.add("open");
      history.replaceState(null, "", `#${encodeURIComponent(feature.key)}`);
    }
    const card = await cardOf(feature).catch((error) => ({ error }));
    if (open !== feature) return;
    if (card.error) { place.replaceChildren(parts.none(card.error.message)); return; }
    const back = make("button", { id: "back", type: "button", textContent: "Back to the list" });
    back.addEventListener("click", close);
    place.replaceChildren(back, make("div", { className: "card-head" },
      make("h3", { textContent: `${feature.shelf.dictionary} ${feature.number}` }),
      make("span", { className: "quiet", textContent: [feature.shelf.run, card.site, group().name].filter(Boolean).join(" · ") })), tools(feature));
    cards.show(place, feature, card, group(), groups, links(feature));
    if (byUser && matchMedia("(max-width: 760px)").matches) byId("features").scrollIntoView();
  }
  const to = (key, textContent) => make("a", { href: `#${encodeURIComponent(key)}`, textContent });
  const links = ({ shelf, number }) => ({
    link: (other) => (shelf.byNumber.has(other) ? to(`${shelf.label}/${other}`, `feature ${other}`) : null),
    elsewhere: (dictionary, other) => to(`${shelf.run ? `${shelf.run}/` : ""}${dictionary}/${other}`, `${dictionary} ${other}`),
    same: shelf.same.map((label) => to(`${label}/${number}`, `${label} ${number}`)),
  });
  function tools(feature) {
    const flag = make("button", { type: "button", id: "flag", className: "small" });
    const note = make("input", { id: "note", type: "text", value: marks.of(feature.key).note || "", placeholder: "a note, kept in this browser", autocomplete: "off" });
    const name = () => {
      const has = Boolean(marks.of(feature.key).star);
      flag.textContent = has ? "★ flagged" : "☆ flag";
      flag.setAttribute("aria-pressed", String(has));
    };
    const mark = (change) => {
      marks.set(feature.key, change);
      name();
      byId("save-marks").hidden = !marks.n();
      buttons().find((button) => button.feature === feature)?.replaceWith(item(feature));
      tally();
    };
    flag.addEventListener("click", () => mark({ star: !marks.of(feature.key).star }));
    note.addEventListener("change", () => mark({ note: note.value }));
    name();
    const tried = "served" in document.body.dataset ? make("a", { href: `try.html#${encodeURIComponent(feature.key)}`, textContent: "try a text, steer" }) : null;
    return make("div", { className: "tools" }, flag, make("label", {}, "Note ", note), tried);
  }
  function close() {
    browser.classList.remove("open");
    byId("features").classList.remove("open");
    const button = buttons().find((each) => each.feature === open);
    if (button) { button.focus(); button.scrollIntoView({ block: "center" }); }
  }
  function step(by) {
    const at = shown.indexOf(open);
    const next = Math.max(0, Math.min(shown.length - 1, at < 0 ? 0 : at + by));
    if (!shown[next]) return;
    while (next >= nRendered) extend();
    show(shown[next], true);
    const button = list.children[next].firstChild;
    button.focus({ preventScroll: true });
    button.scrollIntoView({ block: "nearest" });
  }

  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches("input, select, textarea");
    if (event.key === "Escape") { if (typing) event.target.blur(); else close(); return; }
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "/") { event.preventDefault(); close(); search.focus(); return; }
    if (event.key === "f" && open) byId("flag")?.click();
    const inside = event.target.closest("#browser");
    if (event.key === "j" || (event.key === "ArrowDown" && inside)) { event.preventDefault(); step(1); }
    if (event.key === "k" || (event.key === "ArrowUp" && inside)) { event.preventDefault(); step(-1); }
  });
  more.addEventListener("click", extend);
  deep.addEventListener("click", attempt(searchWindows));
  byId("save-marks").addEventListener("click", marks.save);
  for (const box of [shelfBox, sortBox, wayBox, filterBox]) box.addEventListener("change", attempt(refresh));
  search.addEventListener("input", attempt(refresh));
  scorerBox.addEventListener("change", attempt(async () => { await refresh(); if (open) show(open, false); }));

  // Addresses: #LABEL/FEATURE or #LABEL, and behind it &scorer=NAME&by=EXPLAINER&judge=NAME&sort=NAME&way=up.
  async function follow() {
    const [wanted, ...rest] = location.hash.slice(1).split("&").map(decodeURIComponent);
    const settings = new Map(rest.map((pair) => [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)]));
    for (const [name, box] of [["sort", sortBox], ["way", wayBox]]) {
      if ([...box.options].some((option) => option.value === settings.get(name))) box.value = settings.get(name);
    }
    const asked = groups.find((one) => one.scorer === settings.get("scorer") && one.explainer === settings.get("by") && one.judge === settings.get("judge"));
    if (asked) scorerBox.value = String(asked.number);
    const cut = wanted.lastIndexOf("/");
    const shelf = shelves.find((each) => each.label === wanted) || shelves.find((each) => each.label === wanted.slice(0, cut));
    if (!shelf) return null;
    await stock(shelf);
    if (!shownOf(shelf)) shelfBox.value = String(shelf.number);
    return shelf.label === wanted ? shelf : shelf.byNumber.get(Number(wanted.slice(cut + 1))) || shelf;
  }
  const shownOf = (shelf) => shelfBox.value === "" || Number(shelfBox.value) === shelf.number;
  async function arrive() {
    const before = open;
    const target = await follow();
    if (target && !target.shelf) shelfBox.value = String(target.number);
    await refresh();
    if (target?.shelf) { await show(target, true); byId("features").scrollIntoView(); } else if (shown.length && open === before) await show(shown[0], false); // the reader may have been faster
  }
  addEventListener("hashchange", attempt(arrive));
  fill();
  shelfBox.value = isSite ? "0" : "";
  byId("save-marks").hidden = !marks.n();
  await attempt(arrive)();
})();
