"use strict";
// Data files by name: inline in a page that is one file, scripts of the folder `data` beside a page of a site.
const source = (() => {
  const KEPT = 8;
  const kept = new Map(); // pages, the one that was used longest ago first
  const arrived = new Map();
  globalThis.autointerpData = (name, value) => arrived.set(name, value);

  function read(name) {
    const inline = document.getElementById(`data/${name}`);
    if (inline) return Promise.resolve(JSON.parse(inline.textContent));
    return new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = `data/${name}.js`;
      script.onload = () => {
        const value = arrived.get(name);
        arrived.delete(name);
        script.remove();
        if (value === undefined) reject(new Error(`${script.src} holds nothing`)); else resolve(value);
      };
      script.onerror = () => { script.remove(); reject(new Error(`${script.src} is missing`)); };
      document.head.append(script);
    });
  }
  // A page of cards; few are kept, so that memory stays flat over any number of features.
  function page(name) {
    const known = kept.get(name) || read(name);
    known.catch(() => { if (kept.get(name) === known) kept.delete(name); }); // the next call tries again
    kept.delete(name);
    kept.set(name, known);
    if (kept.size > KEPT) kept.delete(kept.keys().next().value);
    return known;
  }
  return { read, page };
})();
