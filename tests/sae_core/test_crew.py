"""Several dictionaries side by side: the same numbers, in order, whoever is done first."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch

from sae_core.config import DictionaryConfig, TrainingConfig
from sae_core.crew import Crew
from sae_core.synthetic import PlantedDictionary
from sae_core.training.loop import train_dictionaries
from tests.sae_core.threads import threads

CPU = torch.device("cpu")


@pytest.fixture
def two_threads() -> Iterator[None]:
    with threads(2):
        yield


@pytest.mark.usefixtures("two_threads")
def test_tasks_run_at_the_same_time_on_a_thread_each_and_answer_in_their_order() -> None:
    meeting = threading.Barrier(2, timeout=30)

    def meet() -> int:
        meeting.wait()
        return torch.get_num_threads()

    crew = Crew(2, CPU)
    for _ in range(2):
        assert list(crew.run({"b": meet, "a": meet}).items()) == [("b", 1), ("a", 1)]
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_an_error_is_raised_once_all_have_ended() -> None:
    ended = threading.Event()

    def fail() -> None:
        raise ValueError("of one")

    with pytest.raises(ValueError, match="of one"):
        Crew(2, CPU).run({"a": fail, "b": ended.set})
    assert ended.is_set()


@pytest.mark.usefixtures("two_threads")
def test_a_thread_that_starts_later_has_all_threads() -> None:
    Crew(2, CPU).run({"a": torch.get_num_threads, "b": torch.get_num_threads})
    found = []
    later = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert found == [2]


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_one_dictionary_and_a_gpu_take_the_callers_thread(device: str) -> None:
    crew = Crew(1 if device == "cpu" else 3, torch.device(device))
    assert crew.run({"a": threading.get_ident, "b": threading.get_ident}) == dict.fromkeys("ab", threading.get_ident())


def test_two_threads_train_what_one_does() -> None:
    planted = PlantedDictionary.draw(n_features=48, d_in=24, k=3, seed=0)
    batches = list(planted.iter_batches(30, batch_tokens=256, seed=1))
    training = TrainingConfig(n_tokens=30 * 256, batch_tokens=256, learning_rate=5e-3)
    configs = {
        "relu": (DictionaryConfig(kind="relu", n_features=64, l0_target=3.0), training),
        "topk": (DictionaryConfig(kind="topk", n_features=64, k=3), training),
        "mlp": (DictionaryConfig(kind="mlp", n_features=64, hidden=(32,), l0_target=3.0), training),
    }
    trained = []
    for n_threads in (1, 2):
        with threads(n_threads):
            trained.append(train_dictionaries(configs, batches, device="cpu"))
    for name in configs:
        first, second = (each[name].dictionary.state_dict() for each in trained)
        assert all(torch.equal(first[key], second[key]) for key in first), name
