"""Runs in the formats of delphi, SAEBench, Neuronpedia and circuit-tracer; each writer returns its paths.

Near misses, controls and predictions per token have no place there.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from autointerp.board.foreign.circuit_tracer import write_circuit_tracer
from autointerp.board.foreign.run_records import FeatureAnswers, RunRecords, gather, safe_name
from autointerp.records.evidence import Evidence
from autointerp.records.verdict import Verdict
from autointerp.records.window import Window
from autointerp.runs.layout import write_atomically, write_text

__all__ = ["WRITERS", "write_delphi", "write_neuronpedia", "write_saebench"]

_N_ACTIVATIONS = 30
_N_LOGITS = 10


def write_delphi(records: RunRecords, out: Path) -> list[Path]:
    """`explanations/DICTIONARY_latentN.txt` and `scores/SCORER/DICTIONARY_latentN.txt`; a folder per explainer if
    several.

    A lost answer has the prediction null.
    """
    explainers = sorted({e.explainer for e in records.explanations})
    written = []
    for explanation in records.explanations:
        if explanation.text is not None:
            folder = _of_explainer(out, explanation.explainer, explainers) / "explanations"
            name = f"{safe_name(explanation.dictionary)}_latent{explanation.feature}.txt"
            written.append(_write_json(folder / name, explanation.text))
    for feature in gather(records):
        folder = _of_explainer(out, feature.explainer, explainers) / "scores" / safe_name(feature.scorer)
        name = f"{safe_name(feature.evidence.dictionary)}_latent{feature.evidence.feature}.txt"
        written.append(_write_json(folder / name, [_delphi_window(v, w) for v, w in feature.answers]))
    for explainer in explainers or [""]:
        config = {"explainer_model": records.explain_judge, "model": records.subject, "exported_by": "autointerp"}
        written.append(_write_json(_of_explainer(out, explainer, explainers) / "run_config.json", config))
    return written


def _delphi_window(verdict: Verdict, window: Window) -> dict[str, Any]:
    prediction = {"fires": True, "silent": False}.get(verdict.answer)
    firing = verdict.is_firing
    return {
        "str_tokens": window.token_texts(),
        "activations": list(window.activations) if firing else [0.0] * len(window.activations),
        "distance": (window.bin or 0) if firing else -1,
        "activating": firing,
        "prediction": prediction,
        "probability": verdict.probability,
        "correct": None if prediction is None else prediction == firing,
    }


def write_saebench(records: RunRecords, out: Path) -> list[Path]:
    """`DICTIONARY_EXPLAINER_SCORER_eval_results.json`: accuracy per latent, windows numbered from 1.

    A lost answer is written as wrong and noted in the latent's logs.
    """
    written = []
    key = lambda found: (found.explainer, found.scorer, found.judge, found.evidence.dictionary)  # noqa: E731
    for (explainer, scorer, judge, dictionary), features in groupby(sorted(gather(records), key=key), key=key):
        latents = {str(f.evidence.feature): _saebench_latent(f) for f in features}
        scores = [latent["score"] for latent in latents.values()]
        firing = max(len(latent["correct seqs"]) for latent in latents.values())
        total = max(latent.pop("_n") for latent in latents.values())
        document = {
            "eval_type_id": "autointerp",
            "eval_config": {
                "model_name": records.subject,
                "n_latents": len(latents),
                "n_top_ex_for_scoring": 0,
                "n_iw_sampled_ex_for_scoring": firing,
                "n_random_ex_for_scoring": total - firing,
                "scoring": True,
                "llm_judge": judge,
            },
            "eval_id": f"autointerp-{records.name}",
            "datetime_epoch_millis": 0,
            "eval_result_metrics": {
                "autointerp": {
                    "autointerp_score": fmean(scores),
                    "autointerp_std_dev": stdev(scores) if len(scores) > 1 else 0.0,
                }
            },
            "eval_result_details": [],
            "eval_result_unstructured": latents,
            "sae_bench_commit_hash": "exported by autointerp",
            "sae_lens_id": dictionary,
            "sae_lens_release_id": records.name,
            "sae_lens_version": "",
            "sae_cfg_dict": {},
        }
        stem = "_".join(safe_name(part) for part in (dictionary, explainer, scorer))
        written.append(_write_json(out / f"{stem}_eval_results.json", document))
    return written


def _saebench_latent(found: FeatureAnswers) -> dict[str, Any]:
    wrong = [v.answer != ("fires" if v.is_firing else "silent") for v, _ in found.answers]
    called = [i for i, ((v, _), w) in enumerate(zip(found.answers, wrong, strict=True), start=1) if v.is_firing != w]
    firing = [i for i, (v, _) in enumerate(found.answers, start=1) if v.is_firing]
    n_lost = sum(v.answer not in ("fires", "silent") for v, _ in found.answers)
    n = len(found.answers)
    return {
        "latent": found.evidence.feature,
        "explanation": found.explanation,
        "predictions": called,
        "correct seqs": firing,
        "score": (n - sum(wrong)) / n if n else 0.0,
        "logs": f"{n_lost} of {n} answers were lost and stand as wrong ones" if n_lost else "",
        "_n": n,
    }


def write_neuronpedia(records: RunRecords, out: Path) -> list[Path]:
    """`DICTIONARY/features.jsonl.gz`, `activations.jsonl.gz`, `explanations.jsonl.gz`: a JSON object per line."""
    written = []
    told: dict[str, list[dict[str, Any]]] = {}
    scores = _balanced(records)
    for e in records.explanations:
        if e.text is not None:
            told.setdefault(e.dictionary, []).append(
                {
                    "modelId": records.subject,
                    "layer": e.dictionary,
                    "index": str(e.feature),
                    "description": e.text,
                    "typeName": f"autointerp-{e.explainer}",
                    "explanationModelName": e.judge,
                    "notes": "",
                    "scores": scores.get((e.dictionary, e.feature, e.explainer), []),
                }
            )
    for dictionary, group in groupby(sorted(records.evidences, key=_place), key=lambda e: e.dictionary):
        evidences = list(group)
        lines = {
            "features": [_np_feature(e, records.subject) for e in evidences],
            "activations": [line for e in evidences for line in _np_activations(e, records.subject)],
            "explanations": told.get(dictionary, []),
        }
        written += [
            _write_lines(out / safe_name(dictionary) / f"{name}.jsonl.gz", rows) for name, rows in lines.items()
        ]
    return written


def _balanced(records: RunRecords) -> dict[tuple[str, int, str], list[dict[str, Any]]]:
    """Balanced accuracies of each explanation; lost answers are wrong."""
    by_feature: dict[tuple[str, int, str], list[dict[str, Any]]] = {}
    for f in gather(records):
        right = {True: [], False: []}
        for v, _ in f.answers:
            right[v.is_firing].append(v.answer == ("fires" if v.is_firing else "silent"))
        if not right[True] or not right[False]:
            continue
        details = {"n_firing": len(right[True]), "n_silent": len(right[False]), "metric": "balanced accuracy"}
        by_feature.setdefault((f.evidence.dictionary, f.evidence.feature, f.explainer), []).append(
            {
                "value": (fmean(right[True]) + fmean(right[False])) / 2,
                "explanationScoreTypeName": f"autointerp-{f.scorer}",
                "explanationScoreModelName": f.judge,
                "jsonDetails": json.dumps(details),
            }
        )
    return by_feature


def _np_feature(e: Evidence, model: str) -> dict[str, Any]:
    heights = list(e.histogram_counts)
    middles = [(a + b) / 2 for a, b in zip(e.histogram_edges, e.histogram_edges[1:], strict=False)]
    return {
        "modelId": model,
        "layer": e.dictionary,
        "index": str(e.feature),
        "hookName": e.site,
        "maxActApprox": e.max_activation,
        "frac_nonzero": e.density,
        "freq_hist_data_bar_heights": heights,
        "freq_hist_data_bar_values": middles,
        "logits_hist_data_bar_heights": [],
        "logits_hist_data_bar_values": [],
        "pos_str": [t.text for t in e.top_logits[:_N_LOGITS]],
        "pos_values": [t.logit for t in e.top_logits[:_N_LOGITS]],
        "neg_str": [t.text for t in e.bottom_logits[:_N_LOGITS]],
        "neg_values": [t.logit for t in e.bottom_logits[:_N_LOGITS]],
        "correlated_neurons_indices": [e.neuron.index] if e.neuron else [],
        "correlated_neurons_pearson": [e.neuron.correlation] if e.neuron else [],
        "correlated_neurons_l1": [],
    }


def _np_activations(e: Evidence, model: str) -> list[dict[str, Any]]:
    strongest = sorted((w for w in e.windows if w.is_firing), key=lambda w: (-w.max_activation, w.id))
    return [
        {
            "modelId": model,
            "layer": e.dictionary,
            "index": str(e.feature),
            "tokens": window.token_texts(),
            "values": list(window.activations),
            "maxValue": window.max_activation,
            "maxValueTokenIndex": window.activations.index(window.max_activation),
            "minValue": min(window.activations),
            "dataIndex": window.id,
            "binMin": None,
            "binMax": None,
            "binContains": None,
        }
        for window in strongest[:_N_ACTIVATIONS]
    ]


WRITERS: Mapping[str, Callable[[RunRecords, Path], list[Path]]] = {
    "delphi": write_delphi,
    "neuronpedia": write_neuronpedia,
    "saebench": write_saebench,
    "circuit_tracer": write_circuit_tracer,
}


def _place(e: Evidence) -> tuple[str, int]:
    return e.dictionary, e.feature


def _of_explainer(out: Path, explainer: str, explainers: Sequence[str]) -> Path:
    return out / safe_name(explainer) if len(explainers) > 1 else out


def _write_json(path: Path, value: Any) -> Path:
    write_text(path, json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")
    return path


def _write_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    text = "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
    # no time in the header: equal runs give equal bytes
    write_atomically(
        path, lambda temporary: temporary.write_bytes(gzip.compress(text.encode(errors="replace"), mtime=0))
    )
    return path
