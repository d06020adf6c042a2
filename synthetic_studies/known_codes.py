"""Study `known-codes`: supervised encoders, the amortisation gap without dictionary learning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from synthetic_studies.amortised import EncoderConfig, EncoderStack, train_stack
from synthetic_studies.comparison import Comparison, describe
from synthetic_studies.curves import curve_panel
from synthetic_studies.figure_style import new_figure
from synthetic_studies.problems import PUBLISHED_SEED, draw_problems
from synthetic_studies.scoring import code_correlations, log_steps
from synthetic_studies.study import Cell, OnFraction, Row, Study, StudySettings, Table, select

__all__ = ["STUDY", "KnownCodesSettings"]

PUBLISHED = {
    "SAE": (0.862, 0.025),
    "MLP h=32": (0.901, 0.047),
    "MLP h=256": (0.900, 0.028),
    "MLP h=1024": (0.950, 0.001),
}
HIDDEN = {"SAE": None, "MLP h=32": 32, "MLP h=256": 256, "MLP h=1024": 1024}
COST = {"SAE": 1.0, "MLP h=32": 2.0, "MLP h=256": 10.0, "MLP h=1024": 50.0}


@dataclass(frozen=True, kw_only=True)
class KnownCodesSettings(StudySettings):
    n_steps: int = 20_000
    widest_hidden: int = 1024
    """Largest hidden width of the MLPs."""
    learning_rate: float = 1e-3


class KnownCodes(Study):
    """Encoders trained on the true codes."""

    name = "known-codes"
    title = "Known codes: what an encoder can learn when it is told the answer"
    question = """
An encoder is trained on the true codes of N=16 sources seen through M=8 measurements, K=3 of them active, so only the
encoder's form limits it (arXiv 2411.13117, section 4.1). The loss is minus the cosine of found and true codes over
the samples, averaged over features; the score is Pearson's r of each code with its own true code on held-out samples,
averaged over features, without matching.
"""
    full = KnownCodesSettings()
    quick = KnownCodesSettings(n_seeds=3, n_steps=2_000, widest_hidden=256)

    def cells(self, settings: KnownCodesSettings) -> list[Cell]:
        cells = []
        for method, hidden in HIDDEN.items():
            for problems, has_bias in (("published", True), ("published", False), ("fresh", False)):
                # The wide ones are dear: h=256 without biases on fresh problems only, h=1024 as published only.
                is_extra = ((hidden or 0) >= 256 and problems == "published") or (hidden or 0) > 256
                if (hidden or 0) <= settings.widest_hidden and (has_bias or not is_extra):
                    arguments = {"method": method, "problems": problems, "has_bias": has_bias}
                    key = f"{method}, {problems} problem{'s' if problems == 'fresh' else ''}"
                    cells.append(Cell(f"{key}{', biases' if has_bias else ''}", arguments, COST[method]))
        return cells

    def run(self, cell: Cell, settings: KnownCodesSettings, on_fraction: OnFraction) -> list[Row]:
        """One row per seed and recorded step."""
        arguments = cell.arguments
        problems = draw_problems(
            arguments["problems"],
            n_problems=settings.n_seeds,
            n_samples=settings.n_samples,
            seed=PUBLISHED_SEED["known"],
        )
        config = EncoderConfig(
            d_in=8, n_features=16, hidden=HIDDEN[arguments["method"]], has_bias=arguments["has_bias"]
        )
        stack = EncoderStack(config, seeds=range(settings.n_seeds))
        rows: list[Row] = []
        test_x, test_codes = problems.test_x, problems.test_codes

        def record(step: int) -> None:
            scores = code_correlations(test_codes, stack.encode(test_x))
            rows.extend({**arguments, "seed": seed, "step": step, "r": r} for seed, r in enumerate(scores))

        train_stack(
            stack,
            problems.train_x,
            scenario="codes",
            codes=problems.train_codes,
            n_steps=settings.n_steps,
            learning_rate=settings.learning_rate,
            record_at=log_steps(settings.n_steps),
            on_record=record,
            on_step=lambda step: on_fraction(step / settings.n_steps),
        )
        return rows

    def comparisons(self, rows: Sequence[Row], settings: KnownCodesSettings) -> list[Comparison]:
        comparisons = []
        for method, (mean, sd) in PUBLISHED.items():
            last = select(rows, method=method, problems="published", has_bias=True, step=settings.n_steps)
            if last:
                ours = describe([row["r"] for row in last])
                comparisons.append(Comparison(f"{method}, latent r", mean, ours, sd))
        return comparisons

    def tables(self, rows: Sequence[Row], settings: KnownCodesSettings) -> list[Table]:
        arms = (("published", True), ("published", False), ("fresh", False))
        lines = []
        for method in HIDDEN:
            cells = []
            for problems, has_bias in arms:
                last = select(rows, method=method, problems=problems, has_bias=has_bias, step=settings.n_steps)
                cells.append(str(describe([row["r"] for row in last])) if last else "-")
            if any(cell != "-" for cell in cells):
                lines.append((method, *cells))
        heads = ("encoder", "published draw, biases", "published draw, no biases", "fresh draws, no biases")
        return [Table("Latent r at the end, by data and biases", heads, tuple(lines))]

    def notes(self, rows: Sequence[Row], settings: KnownCodesSettings) -> list[str]:
        notes = [
            "Initialisation that reproduces the published values: every layer and bias from U(-1, 1) / sqrt(fan-in). "
            "The published experiment draws ONE problem and repeats the initialisation; fresh problems are ours.",
        ]
        spreads = {}
        for has_bias in (True, False):
            last = select(rows, method="SAE", problems="published", has_bias=has_bias, step=settings.n_steps)
            if last:
                spreads[has_bias] = describe([row["r"] for row in last])
        if len(spreads) == 2:
            notes.append(
                f"The published spread of the SAE (0.025) is that of encoders WITH biases (ours {spreads[True]}); "
                f"without them all initialisations end at the same optimum ({spreads[False]}): the published run kept "
                "the encoder's biases although the text says none."
            )
        return notes

    def figure(self, rows: Sequence[Row], settings: KnownCodesSettings) -> Any:
        figure, axes = new_figure(1, 2, sharey=True)
        for place, (problems, has_bias, title) in enumerate(
            (("published", True, "Published draw, biases"), ("fresh", False, "Fresh draws, no biases"))
        ):
            chosen = select(rows, problems=problems, has_bias=has_bias)
            methods = [method for method in HIDDEN if select(chosen, method=method)]
            published = {method: PUBLISHED[method][0] for method in methods} if place == 0 else {}
            curve_panel(axes[0, place], chosen, methods, x="step", y="r", published=published)
            axes[0, place].set(title=title, xlabel="training steps", ylim=(0, 1))
        axes[0, 0].set_ylabel("latent correlation r (held out)")
        axes[0, 0].legend(loc="lower right")
        return figure


STUDY = KnownCodes()
