"use strict";
// Stars and notes of the reader: kept in this browser, for this page alone, and exported as JSON.
const marks = (() => {
  const KEY = `autointerp marks of ${location.pathname.replace(/[^/]*$/, "")}${document.title}`;
  let all = {};
  try { all = JSON.parse(localStorage.getItem(KEY) || "{}"); } catch { all = {}; } // a browser may refuse storage
  const of = (key) => (Object.hasOwn(all, key) ? all[key] : {});

  function set(key, change) {
    const mark = { ...of(key), ...change };
    if (mark.star || mark.note) all[key] = mark; else delete all[key];
    try { localStorage.setItem(KEY, JSON.stringify(all)); } catch { /* kept until the page is closed */ }
  }
  const save = () => parts.save("marks.json", "application/json", `${JSON.stringify(all, null, 1)}\n`);
  return { of, set, save, n: () => Object.keys(all).length };
})();
