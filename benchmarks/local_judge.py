"""What a verdict of the judge `local` costs: prompts' beginnings read once, against every prompt read whole.

`python -m benchmarks.local_judge MODEL [--features N]`: planted features with 20 windows each, one thread. The same
model answers the same questions as before (batches of 8 by length, whole prompts, float32), with beginnings shared, and
where bfloat16 is the processor's default in that too. CPU is that of the process, weights read beforehand.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Literal

import torch

from autointerp.audition.concepts import chosen, explanation
from autointerp.audition.planting import Counts, plant
from autointerp.config.asking import ScoreConfig, ScorerConfig
from autointerp.judges.in_process.local import LocalJudge, LocalOptions
from autointerp.judges.in_process.local_model import Draw, LocalModel
from autointerp.judges.judge import Request
from autointerp.prompting.one_window import OneWindow
from autointerp.score.opening import open_scorer
from autointerp.score.scorer import Unscorable
from autointerp.seeds import stream
from benchmarks.tables import markdown_table, write_report

N_WINDOWS, BATCH = 20, 8
TYPES: tuple[Literal["float32", "auto"], ...] = ("float32", "auto")
WANTED = 5.0


def questions(n_features: int, *, windows_per_request: int) -> list[Request]:
    """Detection about planted features, told the right explanation."""
    settings = ScorerConfig(
        name="detection",
        n_positive=N_WINDOWS // 2,
        n_negative=N_WINDOWS // 2,
        n_near_miss=0,
        negatives="random",
        windows_per_request=windows_per_request,
    )
    scorer = open_scorer(settings, ScoreConfig())
    taken: set[str] = set()
    asked: list[Request] = []
    for feature, concept in enumerate(chosen(n_features)):
        counts = Counts(N_WINDOWS // 2, N_WINDOWS // 2, 0, 0)
        evidence = plant(concept, counts, feature=feature, seed=0, taken=taken)
        items = scorer.sample(evidence, stream(0, "local judge", feature), others=())
        assert not isinstance(items, Unscorable)
        asked += [question.request for question in scorer.questions(explanation(concept, "right"), items)]
    return asked


class Reading:
    """A model that counts the tokens it reads."""

    def __init__(self, model: LocalModel) -> None:
        self.model, self.n_tokens, self._forward = model, 0, model.forward
        model.forward = self._counted  # type: ignore[method-assign]

    def _counted(self, ids: torch.Tensor, *rest: object, **more: object) -> object:
        self.n_tokens += ids.numel()
        return self._forward(ids, *rest, **more)  # type: ignore[arg-type]


def whole(judge: LocalJudge, requests: Sequence[Request]) -> list[float]:
    """P(1) of every window, every prompt read whole in batches by length."""
    model = judge.model
    prompts = [model.tokens.encode_prompt([(m.role, m.content) for m in request.messages]) for request in requests]
    order = sorted(range(len(prompts)), key=lambda index: -len(prompts[index]))
    found: dict[int, list[float]] = {}
    for start in range(0, len(order), BATCH):
        part = order[start : start + BATCH]
        template = judge.template(requests[part[0]])
        assert template is not None
        choices = model.choose([prompts[i] for i in part], template, [Draw(0.0, lambda: 0.5)] * len(part))
        found |= {i: [choice.probability for choice in own] for i, own in zip(part, choices, strict=True)}
    return [p for index in range(len(prompts)) for p in found[index]]


def shared(judge: LocalJudge, requests: Sequence[Request]) -> list[float]:
    """P(1) of every window, as the judge answers."""

    async def ask() -> list[float]:
        replies = await asyncio.gather(*map(judge.ask, requests))
        return [p for reply in replies for p in reply.probabilities or ()]

    return asyncio.run(ask())


def measure(
    reading: Reading, judge: LocalJudge, requests: Sequence[Request], *, is_shared: bool
) -> tuple[list[float], float, float]:
    """P(1) of every window, CPU seconds and tokens read per window."""
    answer: Callable[[LocalJudge, Sequence[Request]], list[float]] = shared if is_shared else whole
    reading.model.shares_prefixes, reading.n_tokens = is_shared, 0
    start = time.process_time()
    found = answer(judge, requests)
    return found, (time.process_time() - start) / len(found), reading.n_tokens / len(found)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--features", type=int, default=2)
    parser.add_argument("--name", default=None, help="What the report calls the model.")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    judges = [
        LocalJudge(given.model, options=LocalOptions(device="cpu", dtype=dtype, batch_size=BATCH)) for dtype in TYPES
    ]
    if judges[1].model.dtype == judges[0].model.dtype:
        del judges[1]
    for judge in judges:
        judge.model.load()
    readings = [Reading(judge.model) for judge in judges]
    ten, one = (questions(given.features, windows_per_request=n) for n in (10, 1))
    few_words = [part for request in ten for part in OneWindow().split(request)]
    rows, gains = [], {}
    for title, requests in (
        ("ten windows a question", ten),
        ("one window, the same words", one),
        ("one window, few words", few_words),
    ):
        before, before_s, before_tokens = measure(readings[0], judges[0], requests, is_shared=False)
        rows.append([title, "every prompt whole, float32", f"{before_tokens:.0f}", f"{before_s:.3f}", "", ""])
        for reading, judge in zip(readings, judges, strict=True):
            now, now_s, now_tokens = measure(reading, judge, requests, is_shared=True)
            gains[title] = before_s / now_s
            change = max(abs(p - q) for p, q in zip(before, now, strict=True))
            way = f"beginnings shared, {judge.model.dtype}"
            rows.append(["", way, f"{now_tokens:.0f}", f"{now_s:.3f}", f"{gains[title]:.1f}x", f"{change:.1e}"])
        print(rows[-3:], flush=True)
    header = ["asked", "read", "tokens/verdict", "CPU s/verdict", "gain", "largest change of P(1)"]
    about = (
        f"Model: {given.name or given.model}; {given.features} planted features of {N_WINDOWS} windows each, "
        f"detection, batches of {BATCH}. Both ways read the same prompts with the same weights. A model of fewer than "
        "10^9 parameters is asked about one window a question in few words, a larger one about ten. Made by "
        "`python -m benchmarks.local_judge MODEL`."
    )
    is_met = "met" if gains["one window, the same words"] >= WANTED else "missed"
    note = f"Wanted: {WANTED:g} times fewer CPU seconds per verdict for the same questions, one window each: {is_met}."
    path = write_report(
        "local_judge", "Verdicts of a local model", [about, markdown_table(header, rows), note], size="full"
    )
    print(f"written to results/bench/{path.name}")


if __name__ == "__main__":
    main()
