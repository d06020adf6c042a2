"""The loop finds planted directions, repeats itself bit for bit, and keeps dictionaries apart."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from sae_core.architectures.topk import TopKDictionary
from sae_core.build import build_dictionary
from sae_core.config import DictionaryConfig, TrainingConfig
from sae_core.errors import TrainingDataError, WidthMismatchError
from sae_core.quality import measure_quality
from sae_core.synthetic import PlantedDictionary, mean_max_cosine
from sae_core.trainable import TrainableDictionary
from sae_core.training.history import StepRecord
from sae_core.training.loop import train_dictionaries, training_steps
from sae_core.training.trainer import DictionaryTrainer
from sae_core.turns import done
from tests.sae_core.threads import threads

PLANTED = PlantedDictionary.draw(n_features=32, d_in=16, k=2, seed=0, scale=9.0, offset_norm=30.0)
TRAINING = TrainingConfig(
    n_tokens=400 * 256,
    batch_tokens=256,
    learning_rate=5e-3,
    resample_every_steps=40,
    dead_after_tokens=4_000,
)
CONFIGS = {
    "relu": (DictionaryConfig(kind="relu", n_features=48, l1_weight=0.15), TRAINING),
    "topk": (DictionaryConfig(kind="topk", n_features=48, k=2), TRAINING),
    "mlp": (DictionaryConfig(kind="mlp", n_features=48, hidden=(48,), l1_weight=0.15), TRAINING),
}


def _short(name: str, n_steps: int = 30, **fields: object) -> tuple[DictionaryConfig, TrainingConfig]:
    config, training = CONFIGS[name]
    short = {"n_tokens": n_steps * 64, "batch_tokens": 64, "dead_after_tokens": 640, "resample_every_steps": 10}
    return config, dataclasses.replace(training, **{**short, **fields})


def _batches(n_batches: int = 30, batch_tokens: int = 64) -> Iterator[torch.Tensor]:
    return PLANTED.iter_batches(n_batches, batch_tokens=batch_tokens, seed=1)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("name", "cosine", "fvu"), [("relu", 0.97, 0.25), ("topk", 0.97, 0.15), ("mlp", 0.9, 0.3)])
def test_planted_directions_are_found(name: str, cosine: float, fvu: float) -> None:
    trained = train_dictionaries({name: CONFIGS[name]}, _batches(400, 256), device="cpu")[name]
    quality = measure_quality(trained.dictionary, PLANTED.iter_batches(4, batch_tokens=1000, seed=77))
    assert mean_max_cosine(trained.dictionary.directions, PLANTED.directions) > cosine
    assert quality.fvu < fvu
    assert 1 <= quality.l0 < 5
    torch.testing.assert_close(trained.dictionary.directions.norm(dim=1), torch.ones(48))
    assert trained.n_tokens == TRAINING.n_tokens == trained.history[-1].n_tokens


def test_same_seed_twice_is_bit_equal_and_one_pass_equals_separate_passes() -> None:
    configs = {name: _short(name) for name in CONFIGS}
    together = train_dictionaries(configs, _batches(), device="cpu")
    for name, config in configs.items():
        alone = train_dictionaries({name: config}, _batches(), device="cpu")[name]
        assert alone.history == together[name].history
        wanted = together[name].dictionary.state_dict()
        for key, tensor in alone.dictionary.state_dict().items():
            assert torch.equal(tensor, wanted[key]), (name, key)
    other = train_dictionaries({"relu": _short("relu", seed=1)}, _batches(), device="cpu")["relu"]
    assert not torch.equal(other.dictionary.directions, together["relu"].dictionary.directions)


@pytest.mark.parametrize("factor", [0.01, 100.0])
def test_the_scale_of_activations_does_not_change_what_is_learned(factor: float) -> None:
    configs = {name: _short(name) for name in CONFIGS}
    plain = train_dictionaries(configs, _batches(), device="cpu")
    scaled = train_dictionaries(configs, (factor * batch for batch in _batches()), device="cpu")
    for name in configs:
        cosines = (plain[name].dictionary.directions * scaled[name].dictionary.directions).sum(dim=1)
        assert float(cosines.min()) > 0.99, name
        assert scaled[name].history[-1].loss == pytest.approx(plain[name].history[-1].loss, rel=1e-2)
        assert scaled[name].history[-1].mse == pytest.approx(factor**2 * plain[name].history[-1].mse, rel=1e-2)


def test_dead_features_are_resampled_and_counted() -> None:
    config, training = _short("relu", n_steps=60)
    killed = dataclasses.replace(config, l1_weight=3.0)
    history = train_dictionaries({"relu": (killed, training)}, _batches(60), device="cpu")["relu"].history
    assert sum(record.n_resampled for record in history) > 0
    assert [record.step for record in history] == [1, 11, 21, 31, 41, 51, 60]


def test_normalised_mse_is_the_recorded_share_of_variance() -> None:
    config, training = _short("topk", loss="normalised_mse")
    history = train_dictionaries({"topk": (config, training)}, _batches(), device="cpu")["topk"].history
    assert history[0].loss == pytest.approx(history[0].fvu)


def test_fixed_dictionaries_are_built_and_keep_their_place() -> None:
    configs = {
        "random": (DictionaryConfig(kind="random", n_features=5), TRAINING),
        "topk": _short("topk", n_steps=3),
        "neurons": (DictionaryConfig(kind="identity"), TRAINING),
    }
    trained = train_dictionaries(configs, _batches(), device="cpu")
    assert list(trained) == ["random", "topk", "neurons"]
    assert trained["neurons"].history == [] and trained["neurons"].dictionary.is_signed


def test_no_more_batches_are_drawn_than_needed_and_each_stops_at_its_own_number() -> None:
    n_drawn = 0

    def counted() -> Iterator[torch.Tensor]:
        nonlocal n_drawn
        for batch in _batches(30):
            n_drawn += 1
            yield batch

    seen: list[tuple[str, StepRecord]] = []
    n_done: list[int] = []
    configs = {"short": _short("topk", n_steps=4), "long": _short("relu", n_steps=9)}
    trained = train_dictionaries(
        configs,
        counted(),
        device="cpu",
        on_step=lambda name, record: seen.append((name, record)),
        on_batch=n_done.append,
        record_every_steps=5,
    )
    assert n_drawn == 9 and n_done == [64] * 9
    assert (trained["short"].n_tokens, trained["long"].n_tokens) == (4 * 64, 9 * 64)
    assert [(name, r.step) for name, r in seen] == [("short", 1), ("long", 1), ("short", 4), ("long", 6), ("long", 9)]
    assert not any(p.requires_grad for p in trained["long"].dictionary.parameters())


def test_activations_that_run_out_are_reported(caplog: pytest.LogCaptureFixture) -> None:
    trained = train_dictionaries({"topk": _short("topk", n_steps=30)}, _batches(10), device="cpu")["topk"]
    assert trained.n_tokens == 640
    assert "ran out at 640 of n_tokens = 1920" in caplog.text


def test_no_activations_and_not_finite_ones_are_errors() -> None:
    with pytest.raises(TrainingDataError, match="no activations"):
        train_dictionaries({"topk": _short("topk")}, [], device="cpu")
    batches = list(_batches(5))
    batches[3][7, 2] = float("nan")
    with pytest.raises(TrainingDataError, match=r"relu: loss = nan at step 4 .*learning_rate"):
        train_dictionaries({"relu": _short("relu")}, batches, device="cpu")
    with pytest.raises(TrainingDataError, match="mean norm nan"):
        train_dictionaries({"relu": _short("relu")}, batches[3:], device="cpu")


def test_a_batch_of_another_width_is_an_error_with_both_widths() -> None:
    with pytest.raises(WidthMismatchError, match=r"15 wide.*width 16"):
        train_dictionaries({"relu": _short("relu")}, iter([next(_batches()), torch.ones(64, 15)]), device="cpu")


def test_every_batch_follows_the_schedules(monkeypatch: pytest.MonkeyPatch) -> None:
    """The dictionary is told the progress before each step; the rate is the trapezium's at the step's middle."""
    told: list[float] = []
    monkeypatch.setattr(TopKDictionary, "anneal", lambda self, progress: told.append(progress))
    config, training = _short("topk", n_steps=10, warmup_frac=0.2, decay_frac=0.5)
    history = train_dictionaries({"a": (config, training)}, _batches(10), device="cpu", record_every_steps=1)[
        "a"
    ].history
    assert told == pytest.approx([i / 10 for i in range(10)])
    middles = [(i + 0.5) / 10 for i in range(10)]
    wanted = [training.learning_rate * min(1.0, middle / 0.2, (1 - middle) / 0.5) for middle in middles]
    assert [record.learning_rate for record in history] == pytest.approx(wanted)


def _trainer(name: str, **fields: object) -> DictionaryTrainer:
    config, training = _short(name, **fields)
    dictionary = build_dictionary(config, d_in=16, seed=0, sample=next(_batches()))
    assert isinstance(dictionary, TrainableDictionary)
    return DictionaryTrainer(name, dictionary.train(), training)


@pytest.mark.parametrize("clip", [1e-4, 0.0])
def test_gradients_are_clipped_to_their_common_norm(clip: float) -> None:
    trainer = _trainer("relu", gradient_clip=clip)
    trainer.step(next(_batches()), is_recorded=False)
    norm = torch.stack([p.grad.norm() for p in trainer.dictionary.parameters() if p.grad is not None]).norm()
    assert float(norm) == pytest.approx(clip, rel=1e-3) if clip else float(norm) > 1e-2


def test_the_dead_list_follows_the_clock_and_reaches_the_auxiliary_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    auxiliary = TopKDictionary.auxiliary_loss

    def spy(self: TopKDictionary, x: torch.Tensor, reconstruction: torch.Tensor, dead: torch.Tensor) -> object:
        seen.append(dead.numel())
        return auxiliary(self, x, reconstruction, dead)

    monkeypatch.setattr(TopKDictionary, "auxiliary_loss", spy)
    trainer = _trainer("topk", resample_every_steps=0, dead_after_tokens=7 * 64)
    for batch in _batches(17):
        trainer.step(batch, is_recorded=False)
        if trainer.n_steps == 16:
            silent = trainer.clock.n_silent_tokens >= 7 * 64
            assert trainer.dead.tolist() == silent.nonzero()[:, 0].tolist()
    assert seen[:8] == [0] * 8 and seen[8] > 0
    assert seen[9:16] == [seen[8]] * 7, "drawn up every eighth step"


class _Products(TorchDispatchMode):
    """Counts matrix products by the type they are taken in."""

    def __init__(self) -> None:
        super().__init__()
        self.n: Counter[torch.dtype] = Counter()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function.overloadpacket in (torch.ops.aten.mm, torch.ops.aten.addmm):
            self.n[args[-1].dtype] += 1
        return function(*args, **(kwargs or {}))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", CONFIGS)
def test_autocast_takes_the_products_in_bfloat16_and_stays_close(name: str) -> None:
    """Tolerance: over 60 steps of noisy training FVU differs by less than 5% of itself, the first loss by 1%."""
    histories = {}
    for autocast in ("off", "bf16"):
        short = _short(name, n_steps=60, autocast=autocast)
        with _Products() as products:
            trained = train_dictionaries({name: short}, _batches(60), device="cpu", record_every_steps=1)[name]
        assert (products.n[torch.bfloat16] > 60) == (autocast == "bf16"), products.n
        assert {tensor.dtype for tensor in trained.dictionary.state_dict().values()} == {torch.float32}
        histories[autocast] = trained.history
    full, half = histories["off"], histories["bf16"]
    assert all(math.isfinite(record.loss) and math.isfinite(record.l1) for record in half)
    assert half != full
    assert half[0].loss == pytest.approx(full[0].loss, rel=0.01)
    assert half[-1].fvu == pytest.approx(full[-1].fvu, rel=0.05)


def test_autocast_knows_two_settings() -> None:
    training = TrainingConfig()
    object.__setattr__(training, "autocast", "fp8")  # past the type check of the test run
    with pytest.raises(ValueError, match="autocast = 'fp8': must be one of"):
        training.__post_init__()


def test_adam_stays_float32_under_autocast() -> None:
    trainer = _trainer("topk", autocast="bf16")
    trainer.step(next(_batches()), is_recorded=True)
    moments = [moment for state in trainer.optimiser.state.values() for moment in state.values()]
    assert {moment.dtype for moment in moments} == {torch.float32}
    assert {p.grad.dtype for p in trainer.dictionary.parameters() if p.grad is not None} == {torch.float32}


@pytest.mark.parametrize("n_threads", [1, 2])
def test_reading_ahead_reads_no_batch_more_and_changes_nothing(n_threads: int) -> None:
    n_read = 0

    def batches() -> Iterator[torch.Tensor]:
        nonlocal n_read
        for batch in _batches():
            n_read += 1
            yield batch

    configs = {name: _short("topk", 3) for name in "ab"}
    with threads(n_threads):
        ahead = done(training_steps(configs, batches(), device="cpu", reads_ahead=True))
    assert n_read == 3
    behind = train_dictionaries(configs, _batches(), device="cpu")
    for name in configs:
        assert torch.equal(ahead[name].dictionary.directions, behind[name].dictionary.directions)
