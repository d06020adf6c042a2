"""SAELens and sparsify themselves read what we export; their codes and outputs are compared with ours.

Usage: python benchmarks/interop/read_back.py. Dictionaries of every kind that can be exported (and the fixtures, read
and written again) go to a folder; each tool loads them in its own environment (benchmarks/.envs). Prints the largest
difference per case, relative to the largest value, and exits 1 where one exceeds 1e-5.
"""

from __future__ import annotations

import math
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from make_fixtures import FIXTURES, HERE, run_in
from safetensors.torch import load_file, save_file

from sae_core.architectures.matching_pursuit import MatchingPursuitDictionary
from sae_core.architectures.normalised import NormalisedDictionary
from sae_core.architectures.ruled import RuledDictionary
from sae_core.architectures.transcoder import TranscoderDictionary
from sae_core.build import build_dictionary
from sae_core.checkpoint import load_dictionary, save_dictionary
from sae_core.config import DictionaryConfig
from sae_core.dictionary import Dictionary
from sae_core.errors import DictionaryExportError
from sae_core.foreign.writing import export_dictionary

D, D_OUT, N, ROWS = 32, 24, 96, 200
LIMIT = 1e-5
KINDS = ("relu", "topk", "abstopk", "jumprelu", "gated", "batchtopk", "matryoshka", "prolu")
X = torch.randn(ROWS, D, generator=torch.Generator().manual_seed(0)) * 2 + 0.5


def main() -> None:
    """Export, let the tools read, compare."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        worst = max(compare(tool, Path(name) / tool) for tool in ("saelens", "sparsify"))
    print(f"largest difference: {worst:.1e} (limit {LIMIT:.0e})")
    sys.exit(worst > LIMIT)


def compare(tool: str, folder: Path) -> float:
    """Largest relative difference over all cases of a tool."""
    ours: dict[str, tuple[Dictionary, torch.Tensor]] = {}
    for case, dictionary in {**our_dictionaries(), **fixtures()}.items():
        try:
            export_dictionary(dictionary, folder / case, format=tool, metadata={"hook_name": "blocks.0.hook_mlp_out"})
        except DictionaryExportError:
            continue
        ours[case] = (dictionary, X[:, : dictionary.d_in].contiguous())
    if tool == "saelens":
        for kind in KINDS[:-1]:  # prolu has no architecture of its own there
            prefix = "training_" if kind in ("batchtopk", "matryoshka") else ""
            dictionary = our_dictionaries()[kind]
            save_dictionary(dictionary, folder / f"{prefix}own_{kind}")
            ours[f"{prefix}own_{kind}"] = (dictionary, X)
    for case, (_, x) in ours.items():
        save_file({"x": x}, folder / case / "x.safetensors")
    run_in(tool, HERE / f"load_with_{tool}.py", folder)
    worst = 0.0
    for case, (dictionary, x) in sorted(ours.items()):
        answer = load_file(folder / case / "answer.safetensors")
        code = gap(dictionary.encode_dense(x), answer["code"] * answer["unit"])
        output = gap(dictionary(x), answer["reconstruction"])
        worst = max(worst, code, output)
        print(f"{tool:<9} {case:<42} codes {code:.1e}  output {output:.1e}")
    return worst


def gap(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """Largest absolute difference over the largest absolute value; infinite where that is no number."""
    found = float((ours - theirs).abs().max() / theirs.abs().max())
    return found if math.isfinite(found) else math.inf


def our_dictionaries() -> dict[str, Dictionary]:
    """One of every make, with drawn weights."""
    further: dict[str, dict[str, Any]] = {"matryoshka": {"prefixes": (16, 48, N)}}
    found: dict[str, Dictionary] = {}
    for kind in KINDS:
        config = DictionaryConfig(kind=kind, n_features=N, k=8, **further.get(kind, {}))
        found[kind] = build_dictionary(config, d_in=D, seed=0)
    topk = DictionaryConfig(kind="topk", n_features=N, k=8)
    for rule in ("topk", "abstopk", "groupmax"):
        found[f"scaled_{rule}"] = RuledDictionary(topk, d_in=D, rule=rule)
        found[f"skip_{rule}"] = RuledDictionary(topk, d_in=D, rule=rule, has_skip=True)
    for rule in ("relu", "jumprelu", "topk", "groupmax"):
        for has_skip in (False, True):
            name = f"transcoder_{rule}{'_skip' * has_skip}"
            found[name] = TranscoderDictionary(topk, d_in=D, rule=rule, has_skip=has_skip)
            found[f"{name}_wide"] = TranscoderDictionary(topk, d_in=D, d_out=D_OUT, rule=rule, has_skip=has_skip)
    pursuit = DictionaryConfig(kind="inferred", method="matching_pursuit", n_features=N)
    found["matching_pursuit"] = MatchingPursuitDictionary(pursuit, d_in=D, n_steps=6, residual_threshold=0.5)
    for dictionary in found.values():
        fill(dictionary)
    found["layer_norm"] = NormalisedDictionary(found["topk"], method="layer_norm")
    found["constant_norm"] = NormalisedDictionary(found["jumprelu"], method="constant_norm_rescale")
    found["layer_norm_transcoder"] = NormalisedDictionary(found["transcoder_relu_skip_wide"], method="layer_norm")
    return found


@torch.no_grad()
def fill(dictionary: Dictionary) -> None:
    """Drawn values of the sizes that trained dictionaries have."""
    draw = torch.Generator().manual_seed(1)
    for name, tensor in dictionary.state_dict().items():
        drawn = torch.randn(tensor.shape, generator=draw)
        if name == "W_dec":
            tensor.copy_(torch.nn.functional.normalize(drawn, dim=1))
        elif name in ("threshold", "code_scale"):
            tensor.copy_(drawn.abs() + 0.2)
        elif name == "W_enc":
            tensor.copy_(drawn * 0.3)
        elif name not in ("input_scale", "atom_norm"):
            tensor.copy_(drawn * 0.4)
    dictionary.eval().requires_grad_(False)


def fixtures() -> dict[str, Dictionary]:
    """Every tool's own dictionaries, as we read them."""
    found = {}
    for path in sorted(FIXTURES.rglob("expected.safetensors")):
        case = path.parent.relative_to(FIXTURES).as_posix().replace("/", "_")
        found[f"again_{case}"] = load_dictionary(path.parent)
    return found


if __name__ == "__main__":
    main()
