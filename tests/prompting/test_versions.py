"""Version 1 of the prompts is kept to the byte; version 2 is version 1 with changes."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain, combinations
from pathlib import Path
from typing import get_args

import pytest

from autointerp.config.prompts import ExplainChange, ScoreChange, explain_changes, score_changes
from autointerp.prompting.templates import load_changed_prompt, load_prompt

FOLDER = Path(__file__).parents[2] / "prompts"
CHANGED = sorted(str(path.relative_to(FOLDER))[: -len(".v2.md")] for path in FOLDER.rglob("*.v2.md"))
# replies recorded against these are replayed
HASHES = {
    "explain/contrastive": "6dd15bb0acc4ccb6",
    "explain/ensemble": "798d15f383293644",
    "explain/logit_weights": "cdbf16fa4a7d2ceb",
    "explain/logits": "0853477170f31f00",
    "explain/pinned": "f783983e6a71ae89",
    "explain/quantiles": "9095af37aad0dbd1",
    "explain/reask": "006d09bb3c90b2c1",
    "explain/single_token": "f1c8441d782c7767",
    "explain/token_pairs": "d08cae9f1e0a13e7",
    "explain/windows": "9eb13f27ba051d66",
    "explain/windows_brief": "34fa76fd743345ee",
    "score/clustering": "1ce020360ac95185",
    "score/detection": "e93af96417cefec8",
    "score/embedding": "f767823b1c42f2f8",
    "score/fuzzing": "315ae3d51bc00a35",
    "score/intervention": "1b54c181a944a82e",
    "score/intruder": "aa745b1096c8d2a5",
    "score/logit_weights": "69c4893ef8bfc291",
    "score/marked": "cba2bd106177dba1",
    "score/pattern_tokens": "c0b008bf2862f7a9",
    "score/reask": "ff6728f658796e45",
    "score/reask_number": "6c7056d11b660a74",
    "score/reask_numbers": "78c608329f686a58",
    "score/simulation": "dcabb571b107d6b8",
    "score/simulation_single": "6cdebbea02e51793",
    "score/surprisal": "b057b833de5053a5",
}
WINDOWS = [{"text": f'"{n}"', "firings": f'"{n}" 1', "place": "", "token": f'"{n}"'} for n in "ab"]
VALUES: dict[str, object] = {
    "explanation": '"e"',
    "n_windows": 2,
    "n_tokens": 2,
    "text": '"t"',
    "token": '"t"',
    "tokens": ['"t"', '"u"'],
    "top_logits": '"x"',
    "bottom_logits": '"y"',
    "raised": '"r"',
    "lowered": '"l"',
    "levels": [{"strengths": "1", "windows": WINDOWS}],
    "knows_ends": False,
    "has_marks": True,
}


def values_of(name: str, *, version: int) -> dict[str, object]:
    """What fills a prompt; the windows as its template takes them."""
    windows = WINDOWS if name.startswith("explain/") else ['"a"', '"b"']
    silent = ['"a"', '"b"'] if name == "explain/quantiles" else WINDOWS
    own = VALUES | {"windows": windows, "silent_windows": silent}
    if name == "explain/windows" and version == 2:
        own |= {"groups": [{"title": "Windows", "windows": WINDOWS}], "silent_windows": [], "rate": None, "tokens": []}
    prompt = load_prompt(name if version == 1 else f"{name}.v2")
    return {key: own[key] for key in prompt.takes}


@pytest.mark.parametrize("name", CHANGED)
@pytest.mark.parametrize("has_marks", [True, False])
def test_without_changes_version_2_reads_as_version_1(name: str, has_marks: bool) -> None:
    first, second = load_prompt(name), replace(load_prompt(f"{name}.v2"), changes=frozenset())
    given = [values_of(name, version=version) for version in (1, 2)]
    for values in given:
        if "has_marks" in values:
            values["has_marks"] = has_marks
    assert first.render(**given[0]) == second.render(**given[1])


def test_without_changes_but_brief_windows_reads_as_the_brief_prompt() -> None:
    brief = replace(load_prompt("explain/windows.v2"), changes=frozenset({"brief"}))
    first = load_prompt("explain/windows_brief").render(**values_of("explain/windows", version=1))
    assert brief.render(**values_of("explain/windows", version=2)) == first


@pytest.mark.parametrize("name", CHANGED)
def test_every_set_of_changes_is_a_prompt_of_its_own(name: str) -> None:
    known = sorted(load_prompt(f"{name}.v2").changes - {"brief"})
    assert known
    assert set(known) <= set(get_args(ExplainChange if name.startswith("explain/") else ScoreChange))
    few = [set(some) for some in chain.from_iterable(combinations(known, n) for n in (1, 2))]
    hashes = [load_changed_prompt(name, some).hash for some in (set(), *few)]
    assert len(set(hashes)) == len(hashes)
    assert load_changed_prompt(name, {"unheard of"}) == load_prompt(name)
    # another order is the same prompt
    assert load_changed_prompt(name, known).hash == load_changed_prompt(name, known[::-1]).hash


def test_a_prompt_without_a_second_version_is_the_first() -> None:
    assert load_changed_prompt("score/surprisal", score_changes(2)) == load_prompt("score/surprisal")


def test_versions_are_sets_of_changes() -> None:
    assert explain_changes(1) == score_changes(1) == frozenset()
    assert explain_changes(2) == explain_changes(None) == frozenset(get_args(ExplainChange))
    assert score_changes(2) == {"marks", "threshold", "pieces"}
    assert explain_changes(("rate", "marks")) == {"rate", "marks"}


@pytest.mark.parametrize(("name", "digest"), HASHES.items())
def test_version_1_is_kept_to_the_byte(name: str, digest: str) -> None:
    assert load_prompt(name).hash == digest
