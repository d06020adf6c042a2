"""What no harvest writes is not read as evidence, whichever value is at fault and however whole the file is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from autointerp.errors import ArtefactError
from autointerp.records.evidence_file import read_evidence, write_evidence
from autointerp.records.planted import plant_evidence
from autointerp.seeds import stream

Row = dict[str, Any]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    path = tmp_path_factory.mktemp("evidence") / "planted.parquet"
    write_evidence(path, [plant_evidence(0), plant_evidence(1)])
    return pq.read_table(path)


def window(change: Callable[[Row], object], index: int = 3) -> Callable[[list[Row]], object]:
    return lambda rows: change(rows[1]["windows"][index])


def of(name: str, value: Any) -> Callable[[Row], object]:
    return lambda row: row.update({name: value})


FAULTS: dict[str, tuple[Callable[[list[Row]], object], str]] = {
    "a row twice": (lambda rows: rows.append(rows[0]), "feature 0 has two rows"),
    "another dictionary": (lambda rows: [row.update(dictionary="sae") for row in rows], "about dictionary 'sae', not"),
    "two dictionaries": (lambda rows: rows[1].update(dictionary="sae"), "dictionary|dictionaries"),
    "offsets beyond the text": (
        window(lambda w: w.update(token_starts=[*w["token_starts"][:-1], 5000])),
        "token_starts beyond its text",
    ),
    "offsets before it": (window(lambda w: w.update(token_starts=[-1, *w["token_starts"][1:]])), "beyond its text"),
    "offsets that go back": (
        window(lambda w: w.update(token_starts=[w["token_starts"][0], *w["token_starts"][:0:-1]])),
        "token_starts that go back",
    ),
    "an offset too few": (window(lambda w: w["token_starts"].pop()), "token_starts for other tokens"),
    "an activation too few": (window(lambda w: w["activations"].pop()), "activations for other tokens"),
    "no tokens": (window(lambda w: w.update(token_ids=[], token_starts=[0], activations=[])), "has no tokens"),
    "a candidate beyond": (window(of("candidate", 10)), "a candidate beyond its tokens"),
    "an activation that is none": (window(lambda w: w["activations"].__setitem__(0, float("nan"))), "not finite"),
    "an endless activation": (window(lambda w: w["activations"].__setitem__(0, float("inf"))), "not finite"),
    "a firing window that is silent": (window(lambda w: w.update(activations=[0.0] * 10)), "fires, and silent"),
    "a silent window that fires": (window(of("kind", "random")), "of a silent kind, and fires"),
    "an unknown kind": (window(of("kind", "tip")), "has the kind 'tip'"),
    "an unknown role": (window(of("role", "subject")), "has the role 'subject'"),
    "a window twice": (lambda rows: rows[1]["windows"].append(rows[1]["windows"][3]), "is there twice"),
    "a leak": (
        lambda rows: rows[1]["windows"][-1].update(document=rows[1]["windows"][0]["document"]),
        "a document that serves both roles",
    ),
    "an offset below 0": (window(of("offset", -4)), "begins before its document"),
    "no text": (window(of("text", None)), "'text' is empty somewhere"),
    "more firings than tokens": (lambda rows: rows[1].update(n_firing=10**9), "feature 1 fires on more tokens"),
    "no density": (lambda rows: rows[1].update(density=1.5), "a density that is no share"),
    "a histogram without an edge": (lambda rows: rows[1].update(histogram_edges=[1.0]), "do not fit"),
    "a histogram that falls": (lambda rows: rows[1].update(histogram_edges=[10.0, 1.0]), "edges do not rise"),
    "a rule without a sign": (lambda rows: rows[1]["rule"].update(sign=0), "sign is not 1 or -1"),
    "an unknown rule": (lambda rows: rows[1]["rule"].update(kind="mean"), "has the firing rule 'mean'"),
    "an unknown reason": (lambda rows: rows[1].update(unscored="tired"), "has the unscored 'tired'"),
    "a logit that is none": (lambda rows: rows[1]["top_logits"][0].update(logit=float("nan")), "'logit' .*not finite"),
    "more firings of a token than there are": (
        lambda rows: rows[1]["token_uses"][0].update(n_firing=10**6),
        "'token_uses' has an n_firing above its n_tokens",
    ),
    "a feature below 0": (lambda rows: rows[1].update(feature=-1), "has a number below 0"),
    "no site": (lambda rows: rows[1].update(site=None), "'site' is empty somewhere"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_value_at_fault_is_told_with_its_place(name: str, written: pa.Table, tmp_path: Path) -> None:
    change, said = FAULTS[name]
    rows = written.to_pylist()
    change(rows)
    path = tmp_path / "planted.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=written.schema), path)
    with pytest.raises(ArtefactError, match=said) as caught:
        read_evidence(path, dictionary="planted")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_feature_in_two_groups_of_rows_is_found(written: pa.Table, tmp_path: Path) -> None:
    path = tmp_path / "planted.parquet"
    pq.write_table(pa.concat_tables([written, written]), path, row_group_size=2)
    with pytest.raises(ArtefactError, match="feature 0 has two rows"):
        read_evidence(path)


def test_what_no_judge_could_be_asked_about_is_not_written(tmp_path: Path) -> None:
    evidence = plant_evidence(0)
    first = evidence.windows[0]
    endless = replace(evidence, windows=(replace(first, activations=(float("inf"), *first.activations[1:])),))
    with pytest.raises(ArtefactError, match=r"is not written.*'activations' holds a number that is not finite"):
        write_evidence(tmp_path / "planted.parquet", [endless])
    assert not list(tmp_path.iterdir())


def test_a_bit_that_flips_anywhere_in_the_file_never_changes_what_is_read(tmp_path: Path) -> None:
    """The file alone, without a manifest that knows its sha256: pages have checksums, and values a form."""
    path = tmp_path / "planted.parquet"
    write_evidence(path, [plant_evidence(0)])
    whole, rows, rng = path.read_bytes(), read_evidence(path), stream(0, "bits")
    n_refused = 0
    for place in rng.integers(len(whole), size=150).tolist():
        content = bytearray(whole)
        content[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(content)
        try:
            assert read_evidence(path) == rows, place
        except ArtefactError:
            n_refused += 1
    assert n_refused > 75
