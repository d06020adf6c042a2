"""The domain look-up: what knowing the kind of document is worth, fitted where it is not judged."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autointerp.records.document import Role, family_of
from autointerp.records.evidence import Evidence
from autointerp.records.planted import plant_evidence
from autointerp.records.window import Kind, Window
from autointerp.stats.domain import fit_domain_rule
from autointerp.stats.lookup import lookup_table
from autointerp.stats.metrics import balanced_accuracy


def within(places: dict[tuple[Role, Kind], list[str]]) -> Evidence:
    """The planted evidence with its windows in the documents named, in turn."""
    base = plant_evidence()
    windows: list[Window] = []
    for (role, kind), documents in places.items():
        window = base.select(role, kind)[0]
        windows += [replace(window, id=f"{d}@{i}", document=d) for i, d in enumerate(documents)]
    return replace(base, windows=tuple(windows))


def accuracy(evidence: Evidence) -> float | None:
    rule = fit_domain_rule(evidence)
    judged = [(window, window.is_firing) for window in evidence.select("score")]
    return balanced_accuracy(lookup_table(rule, judged))


def test_a_family_is_the_first_folder_of_an_id() -> None:
    assert family_of("stdlib/json/decoder.py") == "stdlib"
    assert family_of("stdlib/json/decoder.py", 2) == "stdlib/json"
    assert family_of("stdlib/json.py", 2) == "stdlib"
    assert family_of("stories.txt:17") == ""


def test_a_feature_of_one_family_is_found_by_it() -> None:
    evidence = within(
        {
            ("explain", "top"): [f"code/{i}" for i in range(10)],
            ("explain", "random"): [f"{'code' if i < 2 else 'prose'}/{i}" for i in range(10)],
            ("score", "top"): [f"code/s{i}" for i in range(10)],
            ("score", "random"): [f"{'code' if i < 3 else 'prose'}/s{i}" for i in range(10)],
        }
    )
    assert fit_domain_rule(evidence).domains == {"code"}
    assert accuracy(evidence) == pytest.approx((1 + 0.7) / 2)


def test_silent_windows_of_the_same_documents_leave_the_rule_at_a_half() -> None:
    evidence = within(
        {
            ("explain", "top"): [f"code/{i}" for i in range(10)],
            ("explain", "random"): [f"prose/{i}" for i in range(10)],
            ("score", "top"): [f"code/s{i}" for i in range(10)],
            ("score", "random"): [f"code/s{i}" for i in range(10)],
        }
    )
    assert accuracy(evidence) == pytest.approx(0.5)


def test_finer_domains_are_taken_only_where_they_hold_for_windows_left_out() -> None:
    each_its_own = {
        ("explain", "top"): [f"code/{i}/x" for i in range(10)],
        ("explain", "random"): [f"prose/{i}/x" for i in range(10)],
    }
    assert fit_domain_rule(within(each_its_own)).depth == 1
    mixed = {
        ("explain", "top"): [f"code/json/{i}" for i in range(10)],
        ("explain", "random"): [f"code/{'html' if i < 8 else 'json'}/{i}" for i in range(10)],
    }
    rule = fit_domain_rule(within(mixed))
    assert (rule.depth, rule.domains) == (2, {"code/json"})


def test_documents_without_folders_tell_nothing() -> None:
    names = {
        ("explain", "top"): [f"a{i}" for i in range(10)],
        ("explain", "random"): [f"b{i}" for i in range(10)],
        ("score", "top"): [f"c{i}" for i in range(5)],
        ("score", "random"): [f"d{i}" for i in range(5)],
    }
    assert accuracy(within(names)) == pytest.approx(0.5)
