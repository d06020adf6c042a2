"""The shuffle buffer gives every row once, mixes documents, and depends on the seed only."""

from __future__ import annotations

import pytest
import torch

from sae_core.activations.buffer import ShuffleBuffer
from sae_core.errors import TrainingDataError, WidthMismatchError


def _chunks(sizes: list[int]) -> list[torch.Tensor]:
    rows = torch.arange(sum(sizes), dtype=torch.float32)[:, None].repeat(1, 2)
    return list(rows.split(sizes))


def _order(buffer: ShuffleBuffer) -> list[int]:
    batches = list(buffer)
    assert all(batch.shape == (buffer.batch_tokens, 2) for batch in batches)
    return torch.cat(batches)[:, 0].long().tolist()


@pytest.mark.parametrize("sizes", [[7, 13, 0, 40, 1, 59], [120], [1] * 120, [5, 115]])
@pytest.mark.parametrize("capacity", [8, 30, 1000])
def test_every_row_comes_exactly_once(sizes: list[int], capacity: int) -> None:
    buffer = ShuffleBuffer(_chunks(sizes), batch_tokens=8, capacity_tokens=capacity, seed=0)
    assert sorted(_order(buffer)) == list(range(120))
    assert buffer.n_left_out == 0


def test_order_depends_on_the_seed_only_not_on_the_chunks() -> None:
    def order(sizes: list[int], seed: int) -> list[int]:
        return _order(ShuffleBuffer(_chunks(sizes), batch_tokens=8, capacity_tokens=40, seed=seed))

    assert order([120], 5) == order([7, 13, 100], 5)
    assert order([120], 5) != order([120], 6)


def test_batches_mix_distant_documents() -> None:
    order = _order(ShuffleBuffer(_chunks([10] * 40), batch_tokens=20, capacity_tokens=200, seed=0))
    first = order[:20]
    assert len({row // 10 for row in first}) > 8
    assert order[:200] != sorted(order[:200])


def test_rest_that_fills_no_batch_is_left_out_and_counted() -> None:
    buffer = ShuffleBuffer(_chunks([50, 53]), batch_tokens=25, capacity_tokens=60, seed=0)
    assert len(set(_order(buffer))) == 100
    assert buffer.n_left_out == 3


def test_too_few_rows_no_rows_and_mixed_widths_are_errors() -> None:
    with pytest.raises(TrainingDataError, match="gave 7 activations, fewer than batch_tokens = 8"):
        list(ShuffleBuffer(_chunks([3, 4]), batch_tokens=8, capacity_tokens=40, seed=0))
    with pytest.raises(TrainingDataError, match="no activations"):
        list(ShuffleBuffer([], batch_tokens=8, capacity_tokens=40, seed=0))
    with pytest.raises(WidthMismatchError, match=r"3 wide.* 2 wide"):
        list(ShuffleBuffer([torch.zeros(4, 2), torch.zeros(9, 3)], batch_tokens=8, capacity_tokens=40, seed=0))


def test_half_precision_pool_gives_float32_batches() -> None:
    buffer = ShuffleBuffer(_chunks([40]), batch_tokens=8, capacity_tokens=16, seed=0, dtype=torch.bfloat16)
    assert next(iter(buffer)).dtype == torch.float32


def test_the_pool_is_not_copied_when_refilled(monkeypatch: pytest.MonkeyPatch) -> None:
    pools: list[int] = []
    filled = ShuffleBuffer._filled_pool

    def spy(self: ShuffleBuffer, source: object) -> torch.Tensor:
        pool = filled(self, source)  # pyright: ignore
        pools.append(pool.data_ptr())
        return pool

    monkeypatch.setattr(ShuffleBuffer, "_filled_pool", spy)
    buffer = ShuffleBuffer(_chunks([10] * 40), batch_tokens=8, capacity_tokens=64, seed=0)
    assert len(list(buffer)) == 50 and len(pools) == 1
