"use strict";
// One sheet at a time: an explanation and the texts asked about. Every text reaches the page through textContent.
(() => {
  const byId = (id) => document.getElementById(id);
  const list = byId("passages"), state = byId("state"), send = byId("send");
  let sheet = null, answers = [], at = 0;
  const visible = (text) => text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g,
    (c) => `[${c.codePointAt(0).toString(16).padStart(4, "0")}]`);

  // Marks count characters, not the halves of which JavaScript's strings are made.
  function line(passage) {
    const text = document.createElement("p"), characters = [...passage.text];
    text.dir = "auto";
    let end = 0;
    for (const [from, to] of passage.marks) {
      const marked = document.createElement("mark");
      marked.textContent = visible(characters.slice(from, to).join(""));
      text.append(visible(characters.slice(end, from).join("")), marked);
      end = to;
    }
    text.append(visible(characters.slice(end).join("")));
    return text;
  }
  function show() {
    [...list.children].forEach((item, i) => {
      if (i === at) item.setAttribute("aria-current", "true"); else item.removeAttribute("aria-current");
      const said = item.lastChild, answer = answers[i];
      said.textContent = answer === undefined ? "" : answer ? "fires" : "silent";
      said.className = `said ${said.textContent}`;
    });
    send.disabled = !sheet || answers.length < sheet.n;
    list.children[Math.min(at, list.children.length - 1)]?.scrollIntoView({ block: "nearest" });
  }
  async function next() {
    const reply = await fetch("/next").catch(() => null);
    const { sheet: found, answered, waiting } = reply ? await reply.json() : { sheet: null, answered: 0, waiting: 0 };
    sheet = found;
    answers = [];
    at = 0;
    list.replaceChildren();
    byId("explanation").textContent = sheet ? visible(sheet.explanation) || "(no explanation is given)" : "";
    state.textContent = reply ? `${answered} answered, ${waiting} waiting` : "The run has ended. Thank you.";
    if (!sheet) { if (reply) { state.textContent = `${answered} answered. Waiting for more questions…`; setTimeout(next, 500); } show(); return; }
    const isMarked = sheet.passages.some((passage) => passage.marks.length);
    byId("asks").textContent = sheet.asks === "promotes" ? "whether the feature makes it more likely" : isMarked ? "whether the feature fires at the underlined place" : "whether the feature fires anywhere in it";
    for (const passage of sheet.passages) {
      const item = document.createElement("li"), said = document.createElement("span");
      item.append(line(passage), said);
      list.append(item);
    }
    show();
  }
  function answer(value) {
    if (!sheet || at >= sheet.n) return;
    answers[at] = value;
    at += 1;
    show();
  }
  function back() { if (at > 0) { at -= 1; answers.length = at; show(); } }
  async function deliver() {
    if (send.disabled) return;
    send.disabled = true;
    await fetch("/answer", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ id: sheet.id, answers }) }).catch(() => null);
    await next();
  }
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    const act = { f: () => answer(1), s: () => answer(0), ArrowLeft: back, Backspace: back, Enter: deliver }[event.key];
    if (act) { event.preventDefault(); act(); }
  });
  byId("fires").addEventListener("click", () => answer(1));
  byId("silent").addEventListener("click", () => answer(0));
  send.addEventListener("click", deliver);
  next();
})();
