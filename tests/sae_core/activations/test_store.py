"""A store gives back every row it was given, in a seed's order, and never holds more than a file or a block."""

from __future__ import annotations

import json
import weakref
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from sae_core import atomic
from sae_core.activations import store, store_writer
from sae_core.activations.store import INDEX_FILE, ActivationStore, open_store
from sae_core.activations.store_writer import write_store
from sae_core.config import DictionaryConfig, TrainingConfig
from sae_core.errors import ActivationStoreError, DictionaryWriteError, TrainingDataError, WidthMismatchError
from sae_core.training.loop import train_dictionaries
from tests.drawing import examples
from tests.sae_core.interrupted import PositionedChunks

D_IN = 3


def numbered(n_rows: int, d_in: int = D_IN) -> torch.Tensor:
    """Rows that tell their own number, exactly in bfloat16: number = 128 a + b."""
    numbers = torch.arange(n_rows, dtype=torch.float32)
    rows = torch.zeros(n_rows, d_in)
    rows[:, 0], rows[:, 1] = numbers // 128, numbers % 128
    return rows


def read(chunks: Iterator[torch.Tensor]) -> list[int]:
    found = [chunk.float() for chunk in chunks]
    rows = torch.cat(found) if found else torch.zeros(0, D_IN)
    return (rows[:, 0] * 128 + rows[:, 1]).long().tolist()


def written(
    directory: Path, n_rows: int = 1000, *, rows_per_file: int = 300, dtype: str = "float32"
) -> ActivationStore:
    chunks = numbered(n_rows).split(70)
    return write_store(chunks, directory, dtype=dtype, rows_per_file=rows_per_file, facts={"site": "mlp_post.0"})


def is_mapped(block: torch.Tensor) -> bool:
    """Whether a tensor's memory is a mapped file of a store."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, *_, name = line.split()
        low, high = (int(end, 16) for end in span.split("-"))
        if low <= block.data_ptr() < high:
            return "activations-" in name
    return False


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_every_row_comes_back_in_the_order_of_the_seed(tmp_path: Path, dtype: str) -> None:
    opened = written(tmp_path, dtype=dtype)
    assert (opened.d_in, opened.n_rows, opened.n_files, opened.rows_in(3)) == (D_IN, 1000, 4, 100)
    assert opened.facts == {"site": "mlp_post.0"}
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *(f"activations-{i:06d}.safetensors" for i in range(4)),
        INDEX_FILE,
    ]
    assert {chunk.dtype for chunk in opened.blocks(seed=1)} == {getattr(torch, dtype)}
    order = read(iter(opened.blocks(seed=1, block_rows=40)))
    assert sorted(order) == list(range(1000))
    assert order == read(iter(open_store(tmp_path).blocks(seed=1, block_rows=40)))
    assert order != read(iter(opened.blocks(seed=2, block_rows=40)))
    # the first rows come from all files
    assert {row // 300 for row in order[:400]} == {0, 1, 2, 3}
    twice = read(iter(opened.blocks(seed=1, block_rows=40, n_epochs=2)))
    assert twice[:1000] == order and sorted(twice[1000:]) == list(range(1000)) and twice[1000:] != order


def test_floats_survive_as_far_as_their_type_goes(tmp_path: Path) -> None:
    x = torch.randn(50, 7, generator=torch.Generator().manual_seed(0))
    exact = write_store([x], tmp_path / "exact", dtype="float32")
    half = write_store([x], tmp_path / "half", dtype="bfloat16")
    assert torch.equal(torch.cat(list(exact.blocks(seed=0))), x)
    assert torch.equal(torch.cat(list(half.blocks(seed=0))), x.bfloat16())


@settings(deadline=None, max_examples=examples(30))
@given(
    n_rows=st.integers(1, 60),
    rows_per_file=st.integers(1, 25),
    block_rows=st.integers(1, 30),
    n_shards=st.integers(1, 3),
    start=st.integers(0, 130),
)
def test_shards_are_one_pass_and_any_row_is_a_beginning(
    tmp_path_factory: pytest.TempPathFactory,
    n_rows: int,
    rows_per_file: int,
    block_rows: int,
    n_shards: int,
    start: int,
) -> None:
    opened = written(tmp_path_factory.mktemp("store"), n_rows, rows_per_file=rows_per_file)
    seen = Counter[int]()
    for index in range(n_shards):
        blocks = opened.blocks(seed=0, n_epochs=2, block_rows=block_rows, shard=(index, n_shards))
        order = read(iter(blocks))
        assert read(blocks.iter_from(start)) == order[start:]
        seen.update(order)
    assert seen == Counter(dict.fromkeys(range(n_rows), 2))


def test_batches_are_shuffled_across_files_and_epochs_go_on_for_ever(tmp_path: Path) -> None:
    opened = written(tmp_path, dtype="bfloat16")
    batches = opened.batches(batch_tokens=50, capacity_tokens=200, seed=0)
    rows = read(iter(batches))
    assert sorted(rows) == list(range(1000))
    assert all(len({row // 300 for row in rows[i : i + 50]}) >= 2 for i in range(0, 600, 50))
    assert {batch.dtype for batch in batches} == {torch.float32}
    endless = iter(opened.batches(batch_tokens=50, capacity_tokens=200, seed=0, n_epochs=None))
    assert len([next(endless) for _ in range(70)]) == 70


def test_several_trainings_read_one_harvest_and_go_on_in_it(tmp_path: Path) -> None:
    from sae_core.training.resume import CheckpointPlan

    draw = torch.Generator().manual_seed(0)
    opened = write_store([torch.randn(600, 8, generator=draw)], tmp_path / "store", rows_per_file=256)
    training = TrainingConfig(n_tokens=20 * 32, batch_tokens=32)
    configs = {
        name: (DictionaryConfig(kind="topk", n_features=16, k=k), training) for name, k in {"a": 1, "b": 3}.items()
    }

    def batches():
        return opened.batches(batch_tokens=32, capacity_tokens=128, seed=0, n_epochs=2)

    together = train_dictionaries(configs, batches(), device="cpu")
    plan = CheckpointPlan(directory=tmp_path / "state", every_steps=1)
    n_seen = 0

    def stop(_: int) -> None:
        nonlocal n_seen
        n_seen += 1
        if n_seen == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_dictionaries({"b": configs["b"]}, batches(), device="cpu", checkpoint=plan, on_batch=stop)
    alone = train_dictionaries({"b": configs["b"]}, batches(), device="cpu", checkpoint=plan)
    assert torch.equal(alone["b"].dictionary.directions, together["b"].dictionary.directions)


def test_writing_holds_one_file_and_one_chunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted in rows: of 40 chunks no more than two live at a time, and nothing larger than a file is allocated."""
    alive: list[int] = []
    n_alive = 0
    allocated: list[int] = []
    empty = torch.empty

    def count_empty(*size: int, **options: object) -> torch.Tensor:
        allocated.append(size[0])
        return empty(*size, **options)

    def gone() -> None:
        nonlocal n_alive
        n_alive -= 1

    def chunks() -> Iterator[torch.Tensor]:
        nonlocal n_alive
        for i in range(40):
            chunk = torch.full((25, D_IN), float(i))
            weakref.finalize(chunk, gone)
            n_alive += 1
            alive.append(n_alive)
            yield chunk
            del chunk

    monkeypatch.setattr(store_writer.torch, "empty", count_empty)
    write_store(chunks(), tmp_path, rows_per_file=90)
    assert max(alive) <= 2
    assert allocated == [90]


def test_reading_holds_a_pool_and_a_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted in rows read ahead of those given out: never more than the pool and one block of at most 40 rows."""
    opened = written(tmp_path)
    n_read, n_given, largest = 0, 0, 0
    read_block = store.StoredBlocks._read

    def counted(self: store.StoredBlocks, start: int, stop: int) -> torch.Tensor:
        nonlocal n_read, largest
        block = read_block(self, start, stop)
        assert is_mapped(block), "a block is a view of its mapped file"
        n_read += stop - start
        largest = max(largest, n_read - n_given)
        return block

    monkeypatch.setattr(store.StoredBlocks, "_read", counted)
    monkeypatch.setattr(store, "BLOCK_ROWS", 40)
    blocks = opened.blocks(seed=0, block_rows=40)
    for batch in store.ShuffleBuffer(blocks, batch_tokens=50, capacity_tokens=200, seed=0):
        n_given += batch.shape[0]
    assert n_given == n_read == 1000
    assert largest <= 200 + 40
    assert len(blocks._open) <= store.MAX_OPEN_FILES


def test_an_interrupted_writing_goes_on_behind_its_files(tmp_path: Path) -> None:
    whole = write_store(PositionedChunks(), tmp_path / "whole", dtype="float32", rows_per_file=150)

    def broken() -> Iterator[torch.Tensor]:
        for i, chunk in enumerate(PositionedChunks()):
            if i == 9:
                raise KeyboardInterrupt
            yield chunk

    with pytest.raises(KeyboardInterrupt):
        write_store(broken(), tmp_path / "broken", dtype="float32", rows_per_file=150)
    assert len(list((tmp_path / "broken").iterdir())) == 3
    with pytest.raises(ActivationStoreError, match=r"index\.json is missing, so .* no finished store"):
        open_store(tmp_path / "broken")
    chunks = PositionedChunks()
    again = write_store(chunks, tmp_path / "broken", dtype="float32", rows_per_file=150)
    assert chunks.n_made <= sum(chunks.sizes) - 450 + 200
    assert again.n_rows == whole.n_rows
    for path in (tmp_path / "whole").iterdir():
        assert path.read_bytes() == (tmp_path / "broken" / path.name).read_bytes()
    unread = PositionedChunks()
    assert write_store(unread, tmp_path / "broken", dtype="float32", rows_per_file=150) == again
    assert unread.n_made == 0


def test_stores_of_another_origin_are_not_taken_for_this_one(tmp_path: Path) -> None:
    written(tmp_path)
    for options in ({"facts": {"site": "resid_pre.0"}}, {"facts": {"site": "mlp_post.0"}, "dtype": "bfloat16"}):
        with pytest.raises(ActivationStoreError, match="another origin or layout; delete it or choose another"):
            write_store([numbered(9)], tmp_path, rows_per_file=300, **{"dtype": "float32", **options})


def test_damage_is_one_line_that_names_the_file(tmp_path: Path) -> None:
    opened = written(tmp_path)
    second, third = (tmp_path / f"activations-{i:06d}.safetensors" for i in (1, 2))
    content = second.read_bytes()
    second.write_bytes(content[:-20])
    with pytest.raises(ActivationStoreError, match=r"activations-000001.* truncated or damaged"):
        open_store(tmp_path)
    second.write_bytes(third.read_bytes())
    with pytest.raises(ActivationStoreError, match=r"activations-000001.* another store or place"):
        open_store(tmp_path)
    other = written(tmp_path / "other", 600, dtype="float32", rows_per_file=200)
    second.write_bytes((other.directory / "activations-000001.safetensors").read_bytes())
    with pytest.raises(ActivationStoreError, match="another store or place"):
        open_store(tmp_path)
    second.unlink()
    with pytest.raises(ActivationStoreError, match=r"activations-000001\.safetensors is missing .* 4 files"):
        open_store(tmp_path)
    second.write_bytes(content)
    assert open_store(tmp_path) == opened
    index = json.loads((tmp_path / INDEX_FILE).read_text())
    for change, message in (
        ({"schema_version": 9}, "schema version 9, this sae_core reads 1"),
        ({"n_rows": 1190}, r"activations-000003.* holds F32 \[100, 3\], the index says F32 \[290, 3\]"),
        ({"dtype": "no such type"}, "damaged"),
    ):
        (tmp_path / INDEX_FILE).write_text(json.dumps(index | change))
        with pytest.raises(ActivationStoreError, match=message) as caught:
            open_store(tmp_path)
        assert "\n" not in str(caught.value)
    (tmp_path / INDEX_FILE).write_text("{")
    with pytest.raises(ActivationStoreError, match=r"index\.json is damaged"):
        open_store(tmp_path)


def test_widths_emptiness_and_bad_arguments(tmp_path: Path) -> None:
    opened = written(tmp_path)
    with pytest.raises(WidthMismatchError, match="width 3, but 4 is wanted"):
        open_store(tmp_path, d_in=4)
    with pytest.raises(WidthMismatchError, match=r"5 wide.*3 wide"):
        write_store([numbered(9), numbered(9, 5)], tmp_path / "mixed")
    for chunks in ([], [torch.zeros(0, 3)]):
        with pytest.raises(TrainingDataError, match="no activations"):
            write_store(chunks, tmp_path / "empty")
    with pytest.raises(ValueError, match="rows_per_file = 0"):
        write_store([numbered(9)], tmp_path / "none", rows_per_file=0)
    with pytest.raises(ValueError, match="shard"):
        opened.blocks(seed=0, shard=(2, 2))


def test_a_full_disk_is_one_line_and_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic.os, "fsync", full)
    with pytest.raises(
        DictionaryWriteError, match=r"activations-000000.* cannot be written \(No space left on device\)"
    ):
        written(tmp_path)
    assert not list(tmp_path.iterdir())


def test_files_are_plain_safetensors(tmp_path: Path) -> None:
    written(tmp_path)
    assert torch.equal(load_file(tmp_path / "activations-000003.safetensors")["activations"], numbered(1000)[900:])
