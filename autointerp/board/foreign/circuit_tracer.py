"""A run's evidence as feature files of circuit-tracer's page.

The layout is what circuit-tracer 0.5 reads in frontend/assets (feature_examples/*.js, util.js: getFile, cantorUnpair)
and names in frontend/feature_models.py. Its histogram and percentiles are left out: the evidence counts firings in
logarithmic bins.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Sequence
from itertools import accumulate, groupby, pairwise
from pathlib import Path
from typing import Any

from autointerp.board.foreign.run_records import RunRecords, safe_name
from autointerp.errors import InputError
from autointerp.records.evidence import N_SHOWN_LOGITS, Evidence
from autointerp.records.window import Window
from autointerp.runs.layout import write_atomically, write_text

__all__ = ["cantor_index", "write_circuit_tracer"]

N_EXAMPLES = 10
"""Most examples of one heading."""


def write_circuit_tracer(records: RunRecords, out: Path) -> list[Path]:
    """`INDEX.json` per feature; the same in `layer_L.bin` with `index.json.gz`, which `serve(features_dir=...)` reads.

    Dictionaries of different layers share the folder, as the transcoders of one model; where two have one layer, each
    has a folder of its name. Features without evidence have no file. Raises InputError for a site without a layer.
    """
    by_layer = sorted(records.evidences, key=lambda e: (e.dictionary, e.feature))
    names = {e.dictionary: _layer(e) for e in by_layer}
    is_shared = len(set(names.values())) == len(names)
    written: list[Path] = []
    for folder, group in groupby(by_layer, key=lambda e: out if is_shared else out / safe_name(e.dictionary)):
        evidences = list(group)
        for evidence in evidences:
            path = folder / f"{cantor_index(_layer(evidence), evidence.feature)}.json"
            write_text(path, _json(_feature(evidence)) + "\n")
            written.append(path)
        written += _write_layers(evidences, folder)
    return written


def cantor_index(layer: int, feature: int) -> int:
    """The one number that stands for a layer and a feature (Cantor's pairing)."""
    return (layer + feature) * (layer + feature + 1) // 2 + feature


def _write_layers(evidences: Sequence[Evidence], folder: Path) -> list[Path]:
    """For each layer a file of records: four bytes of length, low ones first, and the JSON under zlib."""
    files: dict[int, dict[int, bytes]] = {}
    for evidence in evidences:
        packed = zlib.compress(_json(_feature(evidence)).encode())
        files.setdefault(_layer(evidence), {})[evidence.feature] = len(packed).to_bytes(4, "little") + packed
    index: list[dict[str, Any] | None] = [None] * (max(files) + 1)
    written = []
    for layer, parts in sorted(files.items()):
        path = folder / f"layer_{layer}.bin"
        content = b"".join(parts[feature] for feature in sorted(parts))
        write_atomically(path, lambda temporary, content=content: temporary.write_bytes(content))
        sizes = (len(parts.get(feature, b"")) for feature in range(max(parts) + 1))
        index[layer] = {"filename": path.name, "offsets": list(accumulate(sizes, initial=0))}
        written.append(path)
    path = folder / "index.json.gz"
    # no time in the header: equal runs give equal bytes
    write_atomically(path, lambda temporary: temporary.write_bytes(gzip.compress(_json(index).encode(), mtime=0)))
    return [*written, path]


def _feature(e: Evidence) -> dict[str, Any]:
    return {
        "transcoder_id": e.dictionary,
        "index": e.feature,
        "examples_quantiles": _headings(e),
        "top_logits": [effect.text for effect in e.top_logits[:N_SHOWN_LOGITS]],
        "bottom_logits": [effect.text for effect in e.bottom_logits[:N_SHOWN_LOGITS]],
        "act_min": e.rule.threshold,
        "act_max": e.max_activation,
        "activation_frequency": e.density,
    }


def _headings(e: Evidence) -> list[dict[str, Any]]:
    """The strongest windows, then those of each activation bin, the highest first."""
    strongest = sorted((w for w in e.windows if w.kind == "top"), key=lambda w: (-w.max_activation, w.id))
    bins: dict[int, list[Window]] = {}
    for window in e.windows:
        if window.kind == "bin" and window.bin is not None:
            bins.setdefault(window.bin, []).append(window)
    groups = [("Top", strongest), *((f"Bin {bin + 1}", bins[bin]) for bin in sorted(bins, reverse=True))]
    return [
        {"quantile_name": name, "examples": [_example(window) for window in windows[:N_EXAMPLES]]}
        for name, windows in groups
        if windows
    ]


def _example(window: Window) -> dict[str, Any]:
    raw = window.text.encode()
    return {
        # bytes of a character that tokens share, as the page joins them again: \xNN
        "tokens": [raw[a:b].decode(errors="backslashreplace") for a, b in pairwise(window.token_starts)],
        "tokens_acts_list": list(window.activations),
        "train_token_ind": window.activations.index(window.max_activation),
        "is_repeated_datapoint": False,
    }


def _layer(e: Evidence) -> int:
    layer = e.site.rpartition(".")[2]
    if not layer.isdecimal():
        raise InputError(f"{e.dictionary}: its site '{e.site}' names no layer, by which circuit-tracer's files go")
    return int(layer)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
