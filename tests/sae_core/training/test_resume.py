"""An interrupted training that is gone on with gives the numbers of an uninterrupted one, bit for bit."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from sae_core.config import TRAINED_KINDS, DictionaryConfig
from sae_core.errors import DictionaryWriteError, TrainingStateError
from sae_core.training import resume
from sae_core.training.cohort import TrainedDictionary
from sae_core.training.loop import train_dictionaries
from sae_core.training.resume import CheckpointPlan, remove_states
from tests.sae_core.interrupted import BATCH_TOKENS, CONFIGS, N_STEPS, Chunks, PositionedChunks, buffer, train


class Stop(Exception):
    """The interruption."""


def stopper(n_steps: int) -> Callable[[int], None]:
    """Raises after so many steps of this process."""
    calls = 0

    def count(n_tokens: int) -> None:
        nonlocal calls
        calls += n_tokens == BATCH_TOKENS
        if calls == n_steps:
            raise Stop

    return count


def same(found: dict[str, TrainedDictionary], wanted: dict[str, TrainedDictionary]) -> None:
    assert list(found) == list(wanted)
    for name, trained in wanted.items():
        assert found[name].history == trained.history
        assert found[name].n_tokens == trained.n_tokens
        tensors = found[name].dictionary.state_dict()
        for key, tensor in trained.dictionary.state_dict().items():
            assert torch.equal(tensors[key], tensor), (name, key)


@pytest.fixture(scope="module")
def whole() -> dict[str, TrainedDictionary]:
    """The training without any interruption and without states."""
    trained = train_dictionaries(CONFIGS, buffer(), device="cpu", record_every_steps=5)
    assert sum(record.n_resampled for record in trained["relu"].history) > 0
    return trained


@pytest.mark.parametrize(("n_steps", "every_steps"), [(1, 1), (7, 6), (14, 1), (N_STEPS - 1, 5)])
def test_interrupted_at_any_step(
    tmp_path: Path, whole: dict[str, TrainedDictionary], n_steps: int, every_steps: int
) -> None:
    with pytest.raises(Stop):
        train(tmp_path, buffer(), every_steps=every_steps, on_batch=stopper(n_steps))
    same(train(tmp_path, buffer(), every_steps=every_steps), whole)


def test_every_kind_that_is_trained_goes_on(tmp_path: Path) -> None:
    """Thresholds, steered weights, schedules of k and partial reconstructions are part of the state, too."""
    training = dataclasses.replace(CONFIGS["relu"][1], n_tokens=14 * BATCH_TOKENS, loss="normalised_mse")
    options = {
        "relu": {"l0_target": 3.0},
        "topk": {"k": 3, "k_start": 10, "k_warmup_frac": 0.9},
        "jumprelu": {"l0_target": 3.0},
        "gated": {"l0_target": 3.0},
        "matryoshka": {"k": 3, "prefixes": (5, 10, 20)},
        "mlp": {"hidden": (10,), "output": "jumprelu"},
        "sparse_coding": {"n_inference_steps": 5},
    }
    configs = {
        kind: (DictionaryConfig(kind=kind, n_features=20, **{"k": 3} | options.get(kind, {})), training)
        for kind in sorted(TRAINED_KINDS)
    }
    assert set(options) <= set(configs)
    batches = list(buffer())
    wanted = train_dictionaries(configs, batches, device="cpu")
    plan = CheckpointPlan(directory=tmp_path, every_s=None, every_steps=1)
    with pytest.raises(Stop):
        train_dictionaries(configs, batches, device="cpu", checkpoint=plan, on_batch=stopper(8))
    same(train_dictionaries(configs, batches, device="cpu", checkpoint=plan), wanted)


def test_interrupted_again_and_again_while_the_stream_runs_dry(
    tmp_path: Path, whole: dict[str, TrainedDictionary]
) -> None:
    chunks = PositionedChunks()
    for _ in range(5):
        with pytest.raises(Stop):
            train(tmp_path, buffer(), on_batch=stopper(4))  # one step is lost each time
    same(train(tmp_path, buffer(chunks)), whole)
    assert chunks.n_made == 0 or chunks.n_made < sum(chunks.sizes)


def test_chunks_that_can_be_positioned_are_not_computed_again(
    tmp_path: Path, whole: dict[str, TrainedDictionary]
) -> None:
    with pytest.raises(Stop):
        train(tmp_path, buffer(), on_batch=stopper(9))
    shutil.copytree(tmp_path / "state", tmp_path / "other" / "state")
    positioned, plain = PositionedChunks(), Chunks()
    same(train(tmp_path, buffer(positioned)), whole)
    same(train(tmp_path / "other", buffer(plain)), whole)
    # 8 batches were given out when the state was written, from a pool of 300
    n_read = 300 + 7 * BATCH_TOKENS
    assert plain.n_made - positioned.n_made >= n_read - max(plain.sizes)


def test_a_plain_list_of_batches_is_read_up_to_the_place(tmp_path: Path) -> None:
    batches = list(buffer())
    wanted = train_dictionaries(CONFIGS, batches, device="cpu", record_every_steps=5)
    with pytest.raises(Stop):
        train(tmp_path, batches, on_batch=stopper(9))
    shutil.copytree(tmp_path / "state", tmp_path / "short" / "state")
    same(train(tmp_path, batches), wanted)
    with pytest.raises(TrainingStateError, match="ends after 3 batches, but the interrupted training had seen 8"):
        train(tmp_path / "short", batches[:3])


def test_what_was_done_is_told_and_an_ended_training_is_not_done_again(
    tmp_path: Path, whole: dict[str, TrainedDictionary]
) -> None:
    with pytest.raises(Stop):
        train(tmp_path, buffer(), on_batch=stopper(4))
    told: list[int] = []
    train(tmp_path, buffer(), on_batch=told.append)
    assert told == [3 * BATCH_TOKENS] + [BATCH_TOKENS] * (N_STEPS - 3)
    told.clear()
    chunks = PositionedChunks()
    same(train(tmp_path, buffer(chunks), on_batch=told.append), whole)
    assert told == [N_STEPS * BATCH_TOKENS] and chunks.n_made == 0
    assert [folder.name for folder in (tmp_path / "state").iterdir()] == [f"state-{N_STEPS:012d}-end"]
    remove_states(tmp_path / "state")
    assert not (tmp_path / "state").exists()


def test_a_stream_that_ran_dry_is_not_asked_again(tmp_path: Path) -> None:
    batches = list(buffer())[:10]
    first = train(tmp_path, batches)
    again = train(tmp_path, [])
    same(again, first)
    assert again["relu"].n_tokens == 10 * BATCH_TOKENS


def test_without_resume_it_begins_anew(tmp_path: Path, whole: dict[str, TrainedDictionary]) -> None:
    with pytest.raises(Stop):
        train(tmp_path, buffer(), on_batch=stopper(4))
    plan = CheckpointPlan(directory=tmp_path / "state", every_steps=3)
    told: list[int] = []
    options = {"device": "cpu", "record_every_steps": 5, "checkpoint": plan, "on_batch": told.append}
    same(train_dictionaries(CONFIGS, buffer(), resume=False, **options), whole)
    assert len(told) == N_STEPS


def killed_after(n_steps: int, directory: Path) -> None:
    """Train in a process of its own and kill it with SIGKILL once it has told of so many steps."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            train(directory, buffer(), every_steps=2, on_batch=lambda n_tokens: os.write(writing, b"."))
        finally:
            os._exit(1)  # the kill must come before
    os.close(writing)
    told = b""
    while len(told) < n_steps:
        told += os.read(reading, n_steps - len(told)) or pytest.fail("the process ended before it was killed")
    os.kill(child, signal.SIGKILL)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    os.close(reading)


def test_a_killed_process_goes_on(tmp_path: Path, whole: dict[str, TrainedDictionary]) -> None:
    killed_after(3, tmp_path)
    killed_after(9, tmp_path)
    told_last: list[int] = []
    same(train(tmp_path, buffer(), every_steps=2, on_batch=told_last.append), whole)
    assert told_last[0] >= 8 * BATCH_TOKENS, "the last process did not go on from a state"


@pytest.mark.parametrize("moment", ["tensors", "facts", "move", "remove"])
def test_a_kill_while_a_state_is_written_leaves_a_whole_one(
    tmp_path: Path, whole: dict[str, TrainedDictionary], moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each write of the second state is cut off in turn; what is left is the first or the second, never a mixture."""
    n_states = 0

    def cut(*_: object) -> None:
        raise Stop

    def count(n_tokens: int) -> None:
        nonlocal n_states
        n_states += 1
        if n_states != 8:
            return
        if moment == "tensors":
            monkeypatch.setattr(resume, "write_tensors", cut)
        elif moment == "facts":
            monkeypatch.setattr(resume.json, "dumps", cut)
        elif moment == "move":
            monkeypatch.setattr(resume, "move_into_place", cut)
        else:
            monkeypatch.setattr(resume, "_remove_all_but", cut)

    with pytest.raises(Stop):
        train(tmp_path, buffer(), on_batch=count)
    monkeypatch.undo()
    names = sorted(path.name for path in (tmp_path / "state").glob("state-*"))
    assert names == [f"state-{7:012d}"] + ([f"state-{8:012d}"] if moment == "remove" else [])
    same(train(tmp_path, buffer()), whole)
    assert len(list((tmp_path / "state").iterdir())) == 1, "leftovers stay"


def test_a_full_disk_is_one_line_and_the_older_state_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Stop):
        train(tmp_path, buffer(), on_batch=stopper(5))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(resume, "write_tensors", full)
    with pytest.raises(DictionaryWriteError, match=r"state-0{11}5 cannot be written \(No space left on device\)"):
        train(tmp_path, buffer())
    assert len(list((tmp_path / "state").glob("state-*"))) == 1


def test_a_state_of_other_settings_names_them(tmp_path: Path) -> None:
    with pytest.raises(Stop):
        train(tmp_path, buffer(), on_batch=stopper(5))
    plan = CheckpointPlan(directory=tmp_path / "state", facts={"site": "mlp_post.0"})
    config, training = CONFIGS["relu"]
    changed = dict(CONFIGS)
    changed["relu"] = (dataclasses.replace(config, n_features=41), dataclasses.replace(training, learning_rate=0.5))
    with pytest.raises(TrainingStateError) as caught:
        train_dictionaries(changed, buffer(), device="cpu", record_every_steps=5, checkpoint=plan)
    for part in (
        "dictionaries.relu.dictionary.n_features: 40 -> 41",
        "dictionaries.relu.training.learning_rate: 0.02 -> 0.5",
        "site: (absent) -> mlp_post.0",
        f"delete {tmp_path / 'state'} to start anew",
    ):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value) and "topk" not in str(caught.value)
    other = buffer()
    other.seed = 4
    with pytest.raises(TrainingStateError, match="seed: 3 -> 4"):
        train(tmp_path, other)


def test_a_damaged_or_foreign_state_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(Stop):
        train(tmp_path, buffer(), on_batch=stopper(5))
    (folder,) = (tmp_path / "state").iterdir()
    facts = folder / "training.json"
    content = json.loads(facts.read_text())
    facts.write_text(json.dumps({**content, "facts": content["facts"] | {"schema_version": 99}}))
    with pytest.raises(TrainingStateError, match="schema version 99, this sae_core reads 1"):
        train(tmp_path, buffer())
    facts.write_text(json.dumps(content)[:-7])
    with pytest.raises(TrainingStateError, match=r"training\.json: no whole state"):
        train(tmp_path, buffer())
    facts.write_text(json.dumps(content))
    tensors = folder / "stream-0.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-7])
    with pytest.raises(TrainingStateError, match=r"stream-0\.safetensors: no whole state"):
        train(tmp_path, buffer())
    tensors.unlink()
    with pytest.raises(TrainingStateError, match=r"stream-0\.safetensors.*No such file"):
        train(tmp_path, buffer())


def test_states_are_written_by_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(resume.time, "monotonic", lambda: now)
    seen: list[tuple[str, ...]] = []

    def tick(_: int) -> None:
        nonlocal now
        seen.append(tuple(sorted(path.name[-3:] for path in (tmp_path / "state").glob("state-*"))))
        now += 1.0

    plan = CheckpointPlan(directory=tmp_path / "state", every_s=9.5)
    train_dictionaries(CONFIGS, buffer(), device="cpu", checkpoint=plan, on_batch=tick)
    # the clock is looked at before a step
    assert list(dict.fromkeys(seen)) == [(), ("011",)]
    assert seen.index(("011",)) == 11
