"""Evidence on disk: the same back, readable by others, errors that say what is wrong."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from autointerp.errors import ArtefactError
from autointerp.records.evidence import (
    Evidence,
    FiringCounts,
    FiringRule,
    Neighbour,
    NeuronMatch,
    PinnedEffect,
    TokenEffect,
    TokenUse,
)
from autointerp.records.evidence_file import VERSION_KEY, merge_evidence, read_evidence, write_evidence
from autointerp.records.window import Window


def evidence(feature: int = 0, n_windows: int = 3, **changes) -> Evidence:
    text = "<< \u00e9\n\U0001f351</script>"
    windows = tuple(
        Window(
            f"doc{n}@4+2", f"doc{n}", 4, "explain", "bin" if n else "random", n or None, text, (7, 9), (0, 4, 19),
            (0.0, 0.1 * n), 1,
        )
        for n in range(n_windows)
    )  # fmt: skip
    item = Evidence(
        dictionary="sae", feature=feature, site="resid_post.1", rule=FiringRule("quantile", 0.3, -1, 0.01),
        n_tokens=1000, n_firing=10, density=0.01, max_activation=0.7, histogram_edges=(0.1, 0.2, 0.4),
        histogram_counts=(3, 7), windows=windows, top_logits=(TokenEffect(3, " a", 1.5),), bottom_logits=(),
        token_uses=(TokenUse(9, "x", 4, 5),), neuron=NeuronMatch(2, 0.5), unscored=None,
    )  # fmt: skip
    return replace(item, **changes)


ROWS = [
    evidence(0),
    evidence(1, n_windows=0, histogram_edges=(), histogram_counts=(), neuron=None, unscored="too_few_positives"),
    evidence(2, rule=FiringRule("above_zero"), unscored="too_few_negatives"),
    evidence(3, pinned=PinnedEffect((TokenEffect(3, " a", 0.5),), (), kl=0.25, strength=7.0)),
    evidence(4, counts=FiringCounts((5, 1), (4, 0), 900, 9), neighbours=(Neighbour(7, 0.5, 0.0),)),
]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    file = tmp_path / "new" / "sae.parquet"
    many = [replace(evidence(i), feature=i) for i in range(150)]
    for rows in (ROWS, [], many):
        write_evidence(file, rows)
        assert read_evidence(file) == rows
        assert [p.name for p in file.parent.iterdir()] == ["sae.parquet"]


def test_evidence_of_before_opens_without_what_it_lacks(tmp_path: Path) -> None:
    now = [
        replace(
            evidence(n),
            windows=tuple(replace(window, ends_document=True) for window in evidence(n).windows),
            top_logits=(TokenEffect(3, " a", 1.5, n_seen=4),),
            pinned=PinnedEffect((TokenEffect(3, " a", 0.5),), (), kl=0.25, strength=7.0),
        )
        for n in range(2)
    ]
    file = tmp_path / "e.parquet"
    write_evidence(file, now)
    assert read_evidence(file) == now
    table = pq.read_table(file)
    columns = {name: _without_later(table.column(name).combine_chunks()) for name in table.schema.names}
    pq.write_table(pa.table(columns, metadata=table.schema.metadata), file)
    assert read_evidence(file) == [
        replace(row, windows=evidence().windows, top_logits=(TokenEffect(3, " a", 1.5),)) for row in now
    ]


def _without_later(column: pa.Array) -> pa.Array:
    """As the version before wrote it, without the fields of today."""
    later = {"n_seen", "ends_document"}
    if pa.types.is_list(column.type) and pa.types.is_struct(column.type.value_type):
        return pa.ListArray.from_arrays(column.offsets, _without_later(column.values))
    if not pa.types.is_struct(column.type):
        return column
    names = [field.name for field in column.type if field.name not in later]
    parts = [_without_later(column.field(name)) for name in names]
    return pa.StructArray.from_arrays(parts, names=names, mask=column.is_null())


def test_equal_evidence_gives_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_evidence(tmp_path / name, ROWS)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_pandas_reads_it_alone(tmp_path: Path) -> None:
    write_evidence(tmp_path / "e.parquet", ROWS)
    frame = pd.read_parquet(tmp_path / "e.parquet")
    assert list(frame["feature"]) == [0, 1, 2, 3, 4]
    row = frame.to_dict("records")[0]
    window = row["windows"][1]
    assert window["kind"] == "bin"
    assert window["token_ids"].tolist() == [7, 9]
    assert row["rule"]["sign"] == -1


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_an_artefact_error(tmp_path: Path, share: float) -> None:
    file = tmp_path / "e.parquet"
    write_evidence(file, ROWS)
    file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
    with pytest.raises(ArtefactError, match="damaged"):
        read_evidence(file)


def test_absent_foreign_and_other_schemas_are_named(tmp_path: Path) -> None:
    file = tmp_path / "e.parquet"
    with pytest.raises(ArtefactError, match="does not exist"):
        read_evidence(file)
    pd.DataFrame({"a": [1]}).to_parquet(file)
    with pytest.raises(ArtefactError, match="no evidence file"):
        read_evidence(file)
    write_evidence(file, ROWS)
    table = pq.read_table(file)
    pq.write_table(table.replace_schema_metadata({VERSION_KEY: b"99"}), file)
    with pytest.raises(ArtefactError, match="schema version 99"):
        read_evidence(file)
    pq.write_table(table.drop_columns(["windows"]), file)
    with pytest.raises(ArtefactError, match="'windows'"):
        read_evidence(file)


def test_an_unwritable_place_is_an_artefact_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtefactError, match="cannot be written"):
        write_evidence(tmp_path / "file" / "e.parquet", ROWS)


def test_parts_by_feature_merge_in_order(tmp_path: Path) -> None:
    assert merge_evidence([ROWS[2:], ROWS[:2], ROWS[:1]]) == ROWS
    with pytest.raises(ArtefactError, match="feature 1"):
        merge_evidence([ROWS, [replace(ROWS[1], n_firing=11)]])


def test_reading_does_not_load_torch() -> None:
    program = "import sys, autointerp.records.evidence_file; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
