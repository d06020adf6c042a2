"use strict";
// One sheet at a time: an explanation and what is asked about it, yes or no about each text or points for each question.
// Every text reaches the page through textContent.
(() => {
  const byId = (id) => document.getElementById(id);
  const list = byId("questions"), state = byId("state"), buttons = byId("buttons"), shown = byId("shown");
  let sheet = null, answers = [], at = 0, send = null;
  const visible = (text) => text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g,
    (c) => `[${c.codePointAt(0).toString(16).padStart(4, "0")}]`);
  const isRubric = () => Boolean(sheet?.questions);
  const words = (value) => (isRubric() ? String(value) : value ? "fires" : "silent");

  function element(tag, text, className = "") {
    const node = document.createElement(tag);
    node.textContent = text;
    node.className = className;
    return node;
  }
  // Marks count characters, not the halves of which JavaScript's strings are made.
  function line(passage) {
    const text = element("p", ""), characters = [...passage.text];
    text.dir = "auto";
    let end = 0;
    for (const [from, to] of passage.marks) {
      text.append(visible(characters.slice(end, from).join("")), element("mark", visible(characters.slice(from, to).join(""))));
      end = to;
    }
    text.append(visible(characters.slice(end).join("")));
    return text;
  }
  function row(...cells) {
    const item = document.createElement("li");
    item.append(...cells);
    return item;
  }
  function button(text, act, name = text) {
    const made = element("button", text);
    made.type = "button";
    made.id = name;
    made.addEventListener("click", act);
    return made;
  }

  function lay() {
    byId("told-yes-no").hidden = isRubric();
    byId("told-points").hidden = !isRubric();
    byId("explanation").textContent = sheet ? visible(sheet.explanation) || "(no explanation is given)" : "";
    list.replaceChildren();
    shown.replaceChildren();
    byId("promoted").textContent = "";
    send = button("send", deliver);
    if (!sheet) { buttons.replaceChildren(); return; }
    if (isRubric()) {
      shown.append(...sheet.passages.map((passage, i) => row(element("b", String(sheet.strengths[i])), line(passage))));
      if (sheet.promoted.length) byId("promoted").textContent = `It makes these tokens likelier: ${sheet.promoted.map((token) => JSON.stringify(visible(token))).join(", ")}`;
      list.append(...sheet.questions.map((question, i) => row(element("p", `${question} 0 to ${sheet.most[i]}`, "question"), element("span", ""))));
      buttons.replaceChildren(...[...Array(Math.max(...sheet.most) + 1).keys()].map((points) => button(String(points), () => answer(points), `points-${points}`)), send);
      return;
    }
    const isMarked = sheet.passages.some((passage) => passage.marks.length);
    byId("asks").textContent = sheet.asks === "promotes" ? "whether the feature makes it more likely" : isMarked ? "whether the feature fires at the underlined place" : "whether the feature fires anywhere in it";
    list.append(...sheet.passages.map((passage) => row(line(passage), element("span", ""))));
    buttons.replaceChildren(button("fires", () => answer(1)), button("silent", () => answer(0)), send);
  }
  function show() {
    [...list.children].forEach((item, i) => {
      if (i === at) item.setAttribute("aria-current", "true"); else item.removeAttribute("aria-current");
      const said = item.lastChild;
      said.textContent = answers[i] === undefined ? "" : words(answers[i]);
      said.className = `said ${isRubric() ? "" : said.textContent}`;
    });
    if (!sheet) return;
    for (const points of buttons.querySelectorAll("[id^=points-]")) points.hidden = Number(points.textContent) > (sheet.most[Math.min(at, sheet.most.length - 1)]);
    send.disabled = answers.length < sheet.most.length;
    list.children[Math.min(at, list.children.length - 1)]?.scrollIntoView({ block: "nearest" });
  }
  async function next() {
    const reply = await fetch("/next").catch(() => null);
    const { sheet: found, answered, waiting } = reply ? await reply.json() : { sheet: null, answered: 0, waiting: 0 };
    sheet = found;
    answers = [];
    at = 0;
    state.textContent = !reply ? "The run has ended. Thank you." : sheet ? `${answered} answered, ${waiting} waiting` : `${answered} answered. Waiting for more questions…`;
    if (reply && !sheet) setTimeout(next, 500);
    lay();
    show();
  }
  function answer(value) {
    if (!sheet || at >= sheet.most.length || value > sheet.most[at]) return;
    answers[at] = value;
    at += 1;
    show();
  }
  function back() { if (at > 0) { at -= 1; answers.length = at; show(); } }
  async function deliver() {
    if (!sheet || send.disabled) return;
    send.disabled = true;
    await fetch("/answer", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ id: sheet.id, answers }) }).catch(() => null);
    await next();
  }
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    const said = isRubric() ? /^[0-9]$/.test(event.key) && Number(event.key) : { f: 1, s: 0 }[event.key];
    const act = typeof said === "number" ? () => answer(said) : { ArrowLeft: back, Backspace: back, Enter: deliver }[event.key];
    if (act) { event.preventDefault(); act(); }
  });
  next();
})();
