"""Dictionaries of sparsify 1.3: `cfg.json` beside `sae.safetensors`, in a directory named after the hook point."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sae_core.errors import DictionaryFormatError
from sae_core.foreign.coder import CoderRule, ForeignCoder, to_dictionary
from sae_core.foreign.facts import coder_facts
from sae_core.foreign.files import read_json, read_safetensors
from sae_core.foreign.imported import Imported
from sae_core.foreign.settings import Settings
from sae_core.foreign.tensor_file import TensorFile

__all__ = ["CONFIG_FILE", "WEIGHTS_FILE", "read_sparsify"]

CONFIG_FILE = "cfg.json"
WEIGHTS_FILE = "sae.safetensors"

RULES: dict[str, CoderRule] = {"topk": "topk", "groupmax": "groupmax"}

RUN_FILE = "config.json"
"""Training settings, one directory up."""

KNOWN_KEYS = ("activation", "d_in", "expansion_factor", "k", "num_latents", "signed", "skip_connection", "transcode")
TRAINING_KEYS = ("dtype", "multi_topk", "normalize_decoder")
"""Keys without effect on codes."""


def read_sparsify(folder: Path) -> Imported:
    """The dictionary in `folder`. Raises DictionaryFormatError."""
    path = folder / CONFIG_FILE
    settings = Settings(path, read_json(path))
    d = settings.count("d_in")
    n = settings.count("num_latents", least=0, default=0) or d * settings.count("expansion_factor")
    activation = settings.choice("activation", tuple(RULES), default="topk")
    k = settings.count("k", most=n)
    if activation == "groupmax":
        settings.divisor("k", of=n)
    is_signed = settings.flag("signed", default=False)
    if is_signed and activation != "topk":
        raise DictionaryFormatError(f"{path}: signed = True with activation = {activation!r}; known is topk alone")
    is_transcoder = settings.flag("transcode", default=False)
    has_skip = settings.flag("skip_connection", default=False)
    settings.only((*KNOWN_KEYS, *TRAINING_KEYS))
    file = TensorFile(folder / WEIGHTS_FILE, read_safetensors(folder / WEIGHTS_FILE), sizes_from=CONFIG_FILE)
    coder = ForeignCoder(
        # older releases: the k largest by absolute value, with their signs
        rule="abstopk" if is_signed else RULES[activation],
        W_enc=file.take("encoder.weight", n, d),
        b_enc=file.take("encoder.bias", n),
        W_dec=file.take("W_dec", n, d),
        b_dec=file.take("b_dec", d),
        W_skip=file.take("W_skip", d, d) if has_skip else None,
        is_centred=not is_transcoder,
        is_transcoder=is_transcoder,
        k=k,
    )
    file.finish(f"a sparsify {'transcoder' if is_transcoder else 'autoencoder'}")
    words = {
        "signed": is_signed,
        activation: True,
        "transcoder" if is_transcoder else "autoencoder": True,
        "with skip": has_skip,
    }
    return Imported(
        dictionary=to_dictionary(coder),
        format="sparsify",
        architecture=" ".join(word for word, is_so in words.items() if is_so),
        facts=coder_facts(coder),
        metadata=_metadata(folder.resolve()),
    )


def _metadata(folder: Path) -> dict[str, Any]:
    """Hook point, model and context length, under SAELens' keys."""
    if re.fullmatch(r"seed\d+", folder.name):  # one folder per seed, below that of the hook point
        folder = folder.parent
    facts: dict[str, Any] = {"hook_name": folder.name}
    path = folder.parent / RUN_FILE
    if path.is_file():
        run = Settings(path, read_json(path))
        known = {"model_name": run.get("model"), "context_size": run.get("ctx_len"), "dataset_path": run.get("dataset")}
        facts |= {key: value for key, value in known.items() if isinstance(value, str | int)}
    return facts
