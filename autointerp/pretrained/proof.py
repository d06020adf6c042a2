"""Whether a model does what it is known to do: a sentence's loss, or the likeness of two."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from autointerp.errors import InputError
from autointerp.pretrained.catalogue import NamedModel
from autointerp.tensor_half import without_progress_bars

__all__ = ["measure"]


def measure(model: NamedModel, folder: Path) -> float:
    """What `NamedModel.expected` states: nats per token of one text after BOS, or the cosine of two texts.

    Raises InputError where the files in `folder` cannot be loaded.
    """
    import torch
    import transformers

    kind = transformers.AutoModel if model.use == "embedding" else transformers.AutoModelForCausalLM
    try:
        with without_progress_bars(transformers):
            tokenizer: Any = transformers.AutoTokenizer.from_pretrained(folder)
            network: Any = kind.from_pretrained(folder, dtype=torch.float32).eval()
        with torch.inference_mode():
            if model.use == "embedding":
                first, second = (_mean_state(network, tokenizer, text) for text in model.texts)
                return float(torch.cosine_similarity(first, second, dim=0))
            ids = [tokenizer.bos_token_id, *tokenizer(model.texts[0], add_special_tokens=False)["input_ids"]]
            tokens = torch.tensor([[token for token in ids if token is not None]])
            return float(torch.nn.functional.cross_entropy(network(tokens).logits[0, :-1], tokens[0, 1:]))
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        raise InputError(f"what was fetched as {model.name} cannot be loaded ({str(error).splitlines()[0]})") from error


def _mean_state(network: Any, tokenizer: Any, text: str) -> Any:
    return network(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(dim=0)
