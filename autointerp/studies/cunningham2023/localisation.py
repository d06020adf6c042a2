"""Causal localisation of a task: how few features of each dictionary turn its answer over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from autointerp.config.sites import SitePoint
from autointerp.errors import SubjectError
from autointerp.interventions.localisation import Patching, PatchingCurve, measure_curve, order_features
from autointerp.interventions.reading import ReadPrompts
from autointerp.interventions.tasks import TaskPrompts, build_task
from autointerp.seeds import stream
from autointerp.stats.intervals import mean_interval, paired_difference
from autointerp.studies.claim import Claim, gap_of, render_interval, verdict_of
from autointerp.studies.cunningham2023.options import CunninghamOptions, main_entry
from autointerp.studies.cunningham2023.task_dictionaries import task_dictionaries
from autointerp.studies.paper import Finding, Setting
from autointerp.subject.model import Subject, load_subject
from sae_core.dictionary import Dictionary

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["choose_task", "measure_curves", "measure_localisation"]

CHANCE = 0.25
"""Share of pairs answered rightly both ways by a coin."""


def measure_localisation(setting: Setting[CunninghamOptions]) -> Finding:
    subject = load_subject(setting.config.subject, device=setting.config.device, seed=setting.config.seed)
    point = SitePoint(setting.config.subject.site, setting.config.subject.layer)
    subject.check(point)
    prompts, abilities = choose_task(setting, subject)
    main = main_entry(setting).name
    dictionaries, quality = task_dictionaries(setting, subject, point, prompts.task)
    curves = measure_curves(setting, subject, point, prompts, dictionaries)
    rows = [
        {"dictionary": name, "k": k, "prompt": place, "kl": round(float(kl), 5), "edit_norm": round(float(norm), 4)}
        for name, curve in curves.items()
        for k, kls, norms in zip(curve.ks, curve.distance, curve.magnitude, strict=True)
        for place, (kl, norm) in enumerate(zip(kls, norms, strict=True))
    ]
    areas = {name: curve.area.tolist() for name, curve in curves.items()}
    claims = [_ability_claim(abilities)]
    for other in [name for name in curves if name != main]:
        rng = stream(setting.config.seed, "localisation", other)
        gap = gap_of(paired_difference(areas[main], areas[other], rng=rng))
        left = float(curves[main].distance[-1].mean()), float(curves[other].distance[-1].mean())
        claims.append(
            Claim(
                f"{prompts.task}: fewer SAE features than directions of {other} carry the answer",
                "fewer than PCA at every KL (their figure 3, left)" if other == "pca" else "-",
                f"area under KL(k), SAE minus {other}: {render_interval(gap, '.3f')}",
                verdict_of(gap, below=0.0),
                f"KL left with {curves[main].ks[-1]} features patched: SAE {left[0]:.3f}, {other} {left[1]:.3f}; "
                "what the SAE does not reconstruct stays unpatched",
            )
        )
    table = []
    for name, area in areas.items():
        mean = mean_interval(area, rng=stream(setting.config.seed, "area", name), bounds=(0.0, 1.0))
        halved = next((k for k, kl in zip(curves[name].ks, curves[name].distance.mean(dim=1), strict=True)
                       if kl <= curves[name].distance[0].mean() / 2), None)  # fmt: skip
        table.append({"dictionary": name, "area": render_interval(mean, ".3f"), "k_halving_kl": halved or "more"})
    notes = [
        f"Task {prompts.task} at {point}: features are chosen on {setting.options.n_select} prompts and measured on "
        f"{setting.options.n_measure} others; a patched feature takes its value in the counterfactual from the first "
        "token in which the two differ on. The area is that under KL as a share of the unpatched one, over "
        "log2(k + 1): lower is fewer.",
        f"SAE: L0 {quality['l0']:.1f}, FVU {quality['fvu']:.3f}, {quality['dead_frac']:.0%} dead on held-out "
        f"activations, of {quality['n_tokens']:,.0f} trained on {setting.options.n_passes} times, "
        f"{setting.options.task_tokens:,} of them of task prompts (other draws of the same templates).",
    ]
    return Finding(
        claims,
        {"localisation": rows, "areas": table, "ability": abilities},
        {"localisation": _draw(curves, prompts.task)},
        notes,
    )


def choose_task(setting: Setting[CunninghamOptions], subject: Subject) -> tuple[TaskPrompts, list[dict[str, Any]]]:
    """The prompts of the first task that the subject can do, and what it can do of those tried.

    It can where it prefers the answer for the prompt and for its counterfactual more often than not, by the whole
    interval. Raises SubjectError where it can none.
    """
    n = setting.options.n_select + setting.options.n_measure
    rows: list[dict[str, Any]] = []
    for task in setting.options.tasks:
        try:
            prompts = build_task(subject, task, n, seed=setting.config.seed)
        except SubjectError as error:
            rows.append({"task": task, "can": False, "why": str(error)})
            continue
        sides = [
            prompts.logit_difference(subject.changed_logits(each.tokens, at=each.last)).cpu()
            for each in (prompts.clean, prompts.counterfactual)
        ]
        right = ((sides[0] > 0) & (sides[1] < 0)).float().tolist()
        rng = stream(setting.config.seed, "ability", task)
        share = mean_interval(right, rng=rng, bounds=(0.0, 1.0))
        difference = mean_interval(((sides[0] - sides[1]) / 2).tolist(), rng=rng, bounds=(-1e9, 1e9))
        can = share is not None and share.lo > 0.5
        rows.append(
            {
                "task": task,
                "can": can,
                "logit_difference": render_interval(difference),
                "right_both_ways": render_interval(share),
                "why": "",
            }
        )
        if can:
            return prompts, rows
    told = "; ".join(f"{row['task']}: {row.get('right_both_ways') or row['why']}" for row in rows)
    raise SubjectError(
        f"study.tasks: '{subject.name}' can do none of them (share right both ways: {told}); give another subject "
        "(smollm2-135m can), or leave the part out with study.parts"
    )


def measure_curves(
    setting: Setting[CunninghamOptions],
    subject: Subject,
    point: SitePoint,
    prompts: TaskPrompts,
    dictionaries: Mapping[str, Dictionary],
) -> dict[str, PatchingCurve]:
    """Features are ordered on the first prompts, and the curves measured on the rest."""
    n, options = setting.options.n_select, setting.options
    halves = [prompts.part(slice(0, n)), prompts.part(slice(n, None))]
    reads = [[ReadPrompts(subject, each, point) for each in (half.clean, half.counterfactual)] for half in halves]
    curves = {}
    with setting.progress.bar("localisation", total=len(dictionaries), unit="dictionaries") as bar:
        for place, (name, dictionary) in enumerate(dictionaries.items()):
            select, measure = (
                Patching(clean, counterfactual, dictionary, at=half.is_after)
                for (clean, counterfactual), half in zip(reads, halves, strict=True)
            )
            order = order_features(select, options.n_patched, n_exact=options.n_exact)
            with torch.no_grad():
                curves[name] = measure_curve(measure, order, options.n_patched)
            bar.update(place + 1)
    return curves


def _ability_claim(rows: list[dict[str, Any]]) -> Claim:
    last = rows[-1]
    failed = [f"{row['task']} it cannot ({row.get('right_both_ways') or row['why']})" for row in rows[:-1]]
    return Claim(
        f"the subject does the task ({last['task']})",
        "Pythia-410M does IOI",
        f"logit difference {last['logit_difference']}; right both ways {last['right_both_ways']}",
        "holds",
        "; ".join([*failed, f"a coin is right both ways {CHANCE:.0%} of the time"]),
    )


def _draw(curves: Mapping[str, PatchingCurve], task: str) -> Figure:
    from synthetic_studies.figure_style import COLOURS, MARKERS, new_figure

    figure, axes = new_figure(1, 2)
    for series, (name, curve) in enumerate(curves.items()):
        look = {"color": COLOURS[series], "marker": MARKERS[series], "label": name}
        kl = curve.distance.mean(dim=1)
        error = 1.96 * curve.distance.std(dim=1) / curve.distance.shape[1] ** 0.5
        x = torch.tensor(curve.ks) + 1
        axes[0, 0].plot(x, kl, **look)
        axes[0, 0].fill_between(x, kl - error, kl + error, color=COLOURS[series], alpha=0.15, linewidth=0)
        axes[0, 1].plot(curve.magnitude.mean(dim=1), kl, **look)
    axes[0, 0].set(xscale="log", xlabel="features patched + 1", ylabel="KL from the counterfactual, nats", title=task)
    axes[0, 1].set(xlabel="norm of the edit", ylabel="KL from the counterfactual, nats")
    axes[0, 0].legend()
    return figure
