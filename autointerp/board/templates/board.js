"use strict";
// The matrix: sorted, filtered, and grey where entries were not asked alike.
(() => {
  const { byId, make } = parts;
  const reasons = JSON.parse(byId("reasons").textContent);
  const table = byId("matrix"), body = table.tBodies[0];
  const rows = [...body.rows], reference = reasons.map(() => 0);
  let sorted = null, way = 1;

  const cellOf = (row, column) => row.querySelector(`td[data-column="${column}"]`);
  const isApart = (cell, column) => cell?.dataset.section !== undefined && Number(cell.dataset.section) !== reference[column];
  // Null sorts last: no figure, or one that may not be compared.
  function value(row, by) {
    if (by === "name") return row.dataset.name;
    if (Object.hasOwn(row.dataset, by)) return row.dataset[by] === "" ? null : Number(row.dataset[by]);
    const cell = cellOf(row, by);
    return cell?.dataset.value === undefined || isApart(cell, by) ? null : Number(cell.dataset.value);
  }
  function compare(a, b) {
    const [x, y] = [value(a, sorted), value(b, sorted)];
    if (x === null || y === null) return (x === null) - (y === null);
    return way * (typeof x === "string" ? x.localeCompare(y) : x - y);
  }
  function arrange() {
    if (sorted !== null) body.append(...rows.sort(compare));
    for (const button of table.querySelectorAll("[data-sort]")) {
      const head = button.closest("th");
      if (button.dataset.sort === sorted) head.setAttribute("aria-sort", way > 0 ? "ascending" : "descending"); else head.removeAttribute("aria-sort");
    }
  }
  function grey() {
    reasons.forEach((between, column) => rows.forEach((row) => {
      const cell = cellOf(row, column);
      if (!cell?.dataset.section) return;
      const apart = isApart(cell, column), why = cell.querySelector(".why");
      cell.classList.toggle("apart", apart);
      why.hidden = !apart;
      why.textContent = apart ? `not comparable: ${between[Number(cell.dataset.section)][reference[column]]}` : "";
      cell.title = why.textContent;
    }));
  }
  function filter() {
    const wanted = Object.fromEntries([...document.querySelectorAll("[data-filter]")].map((box) => [box.dataset.filter, box.value]));
    for (const row of rows) row.hidden = ["subject", "site", "kind"].some((name) => wanted[name] && row.dataset[name] !== wanted[name]);
    for (const head of table.tHead.querySelectorAll("[data-column]")) {
      const isHidden = Boolean(wanted.judge) && head.dataset.judge !== wanted.judge;
      for (const cell of table.querySelectorAll(`[data-column="${head.dataset.column}"]`)) cell.hidden = isHidden;
    }
  }
  for (const button of table.querySelectorAll("[data-sort]")) {
    button.addEventListener("click", () => {
      const first = button.dataset.sort === "name" ? 1 : -1;
      way = sorted === button.dataset.sort ? -way : first;
      sorted = button.dataset.sort;
      arrange();
    });
  }
  for (const box of table.querySelectorAll("select[data-section]")) {
    box.addEventListener("change", () => { reference[Number(box.dataset.section)] = Number(box.value); grey(); arrange(); });
  }
  byId("filters").addEventListener("change", filter);
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", async () => {
      try { await navigator.clipboard.writeText(button.dataset.copy); } catch { // a page from disk may not
        const box = make("textarea", { value: button.dataset.copy });
        document.body.append(box);
        box.select();
        document.execCommand("copy");
        box.remove();
      }
      button.textContent = "copied";
    });
  }
  grey();
})();
