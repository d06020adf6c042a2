"""Dictionaries that sparsify saved: `cfg.json` beside `sae.safetensors`, one directory per hook point.

Autoencoders and transcoders, topk and groupmax, with or without a linear skip. The hook point is the directory's name.
Verified against sparsify (eai-sparsify) 1.3.
"""

from __future__ import annotations

from pathlib import Path

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
    is_transcoder = settings.flag("transcode", default=False)
    has_skip = settings.flag("skip_connection", default=False)
    file = TensorFile(folder / WEIGHTS_FILE, read_safetensors(folder / WEIGHTS_FILE), sizes_from=CONFIG_FILE)
    coder = ForeignCoder(
        rule=RULES[activation],
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
    return Imported(
        dictionary=to_dictionary(coder),
        format="sparsify",
        architecture=f"{activation} {'transcoder' if is_transcoder else 'autoencoder'}{' with skip' * has_skip}",
        facts=coder_facts(coder),
        metadata={"hook_name": folder.resolve().name},
    )
