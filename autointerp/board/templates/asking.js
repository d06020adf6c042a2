"use strict";
// Questions to the server that gave this page, and how long things take in words.
const asking = (() => {
  async function answered(reply) {
    if (!reply.ok) throw new Error(`the server answered ${reply.status}`);
    const found = await reply.json();
    if (found.error) throw new Error(found.error);
    return found;
  }
  const gone = () => { throw new Error("the server does not answer: it was stopped, or its terminal says what went wrong"); };
  const get = (path) => fetch(path).catch(gone).then(answered);
  const post = (path, body) => fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }).catch(gone).then(answered);
  const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

  // An answer of the run's model; while that is opened `waiting` is told for how long.
  async function model(path, body, waiting) {
    for (;;) {
      const found = await post(path, body);
      if (!("opening_s" in found)) return found;
      waiting(found.opening_s);
      await pause(300);
    }
  }
  const seconds = (s) => (s < 9.95 ? `${s.toFixed(s < 0.995 ? 2 : 1)} s` : s < 100 ? `${Math.round(s)} s` : s < 5400 ? `${Math.round(s / 60)} min` : `${(s / 3600).toFixed(1)} h`);
  return { get, post, model, seconds };
})();
