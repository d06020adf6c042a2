"""Results, options and public names change only together with the files in tests/frozen."""

from __future__ import annotations

import difflib

import pytest

from tests.frozen.facts import FACTS, FROZEN


@pytest.mark.parametrize("name", FACTS)
def test_what_is_frozen_has_not_changed(name: str) -> None:
    before = (FROZEN / name).read_text(encoding="utf-8").splitlines()
    difference = list(difflib.unified_diff(before, FACTS[name]().splitlines(), name, "now", lineterm="", n=1))
    assert not difference, "\n".join(["if meant, run: python -m tests.frozen.facts", *difference[:60]])
