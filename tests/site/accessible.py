"""What a reader with a screen reader or a keyboard needs of a page's structure."""

from __future__ import annotations

from typing import Any

__all__ = ["structural_faults"]

_FAULTS = """() => {
  const faults = [], shown = (node) => node.getClientRects().length > 0;
  const all = (query) => [...document.querySelectorAll(query)].filter(shown);
  const note = (query, isFault, words) => {
    for (const node of all(query)) if (isFault(node)) faults.push(`${words}: ${node.outerHTML.slice(0, 80)}`);
  };
  let level = 0;
  for (const head of all("h1, h2, h3, h4, h5, h6")) {
    const own = Number(head.tagName[1]);
    if (own > level + 1) faults.push(`h${own} after h${level}: ${head.textContent}`);
    level = own;
  }
  note("li", (node) => !node.parentElement.matches("ul, ol"), "no list around");
  note("input, select, textarea", (node) => !node.labels.length && !node.ariaLabel, "no label");
  note("button, a[href], summary", (node) => !(node.ariaLabel || node.textContent).trim(), "no name");
  note("svg[role=img], progress", (node) => !node.getAttribute("aria-label"), "no words");
  note("[id]", (node) => document.querySelectorAll(`[id="${CSS.escape(node.id)}"]`).length > 1, "an id twice");
  if (!document.documentElement.lang || !document.title) faults.push("no language or title");
  if (all("main").length !== 1) faults.push("not one main");
  return faults;
}"""


def structural_faults(page: Any) -> list[str]:
    """Of a page open in Chromium: skipped levels of headings, controls without names, lists and ids that are none."""
    return page.evaluate(_FAULTS)
