"""Files of a transformers model. Nothing is downloaded; code from a model's repository is never run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from autointerp.errors import ConfigError, InputError, JudgeStopped
from autointerp.pretrained.finding import find_pretrained
from autointerp.tensor_half import without_progress_bars

__all__ = ["ModelFiles", "pick_device", "pick_dtype"]


class ModelFiles:
    """Config, tokenizer and weights of model `name`."""

    def __init__(self, transformers: Any, name: str, *, revision: str | None, judge: str = "local") -> None:
        """`judge` appears in messages. Raises ConfigError for a model not on this machine."""
        self._transformers, self.name, self._what = transformers, name, f"judge {judge}:{name}"
        self._location = _locate(name, revision, what=self._what)
        self._source = {"revision": revision, "local_files_only": True, "trust_remote_code": False}

    def read_tokenizer(self) -> tuple[Any, Any]:
        """Config and tokenizer. Raises ConfigError if unusable."""
        what = self._what
        try:
            config = self._transformers.AutoConfig.from_pretrained(self._location, **self._source)
            tokenizer: Any = self._transformers.AutoTokenizer.from_pretrained(self._location, **self._source)
        except (OSError, ValueError, KeyError, ImportError, TypeError, AttributeError) as error:
            raise ConfigError(f"{what}: its config.json or tokenizer cannot be used: {_first_line(error)}") from error
        if getattr(config, "is_encoder_decoder", False):
            raise ConfigError(f"{what} is an encoder-decoder; give a causal language model")
        # transformers makes an empty tokenizer of the model's class where the files are missing
        if len(tokenizer) <= len(tokenizer.all_special_ids):
            raise ConfigError(
                f"{what} has no tokenizer; put tokenizer.json and tokenizer_config.json beside config.json"
            )
        return config, tokenizer

    def count_parameters(self, torch: Any, config: Any) -> int | None:
        """Number of parameters by the config; None where they take weights to know."""
        try:
            with torch.device("meta"):
                return self._transformers.AutoModelForCausalLM.from_config(config).num_parameters()
        except (ValueError, ImportError, AttributeError, TypeError, KeyError, RuntimeError):
            return None

    @property
    def folder(self) -> Path | None:
        """The model's directory; None for a name in the hub's cache."""
        path = Path(self._location)
        return path if path.is_dir() else None

    def read_weights(self, *, dtype: Any, device: Any, kind: str = "AutoModelForCausalLM") -> Any:
        """Model of transformers' class `kind`. Raises JudgeStopped for unusable weights."""
        from safetensors import SafetensorError

        try:
            with without_progress_bars(self._transformers):
                model, info = getattr(self._transformers, kind).from_pretrained(
                    self._location, dtype=dtype, output_loading_info=True, **self._source
                )
            # pooler heads are unused, and many encoders are saved without them
            missing = [key for key in info["missing_keys"] if not key.startswith("pooler.")]
            if missing:
                raise ValueError(f"they lack {min(missing)}")
            return model.to(device).eval()
        except (SafetensorError, OSError, ValueError, KeyError, RuntimeError, EOFError, ImportError) as error:
            raise JudgeStopped(f"{self._what} cannot load its weights: {_first_line(error)}") from error


def pick_device(torch: Any, device: str, *, judge: str = "local") -> Any:
    """Raises ConfigError for a device this machine lacks."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise ConfigError(f"judges.{judge}.device = '{device}' is no device; use 'auto', 'cpu' or 'cuda'") from None
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"judges.{judge}.device = '{device}', but this machine has no usable CUDA GPU; use 'auto'")
    return chosen


def pick_dtype(torch: Any, device: Any) -> str:
    """`bfloat16` where the device multiplies it in hardware; else `float32` on a CPU, the checkpoint's own on a GPU."""
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "auto"
    able = getattr(torch.cpu, "get_capabilities", dict)()
    return "bfloat16" if able.get("avx512_bf16") or able.get("amx_bf16") else "float32"


def _locate(name: str, revision: str | None, *, what: str) -> str:
    """Directory or hub name. Raises ConfigError if not on this machine."""
    try:
        found = find_pretrained(name)
    except InputError as error:
        raise ConfigError(f"{what}: {error}") from error
    if found is not None:
        return str(found)
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise ConfigError(f"{what}: the directory holds no config.json; give one in HuggingFace layout")
        return str(path)
    if path.exists() or name.startswith((".", "~", "/")) or name.count("/") > 1 or not name.strip():
        raise ConfigError(f"{what}: there is no such directory; correct the path")
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        config = try_to_load_from_cache(name, "config.json", revision=revision)
    except HFValidationError:
        config = None
    if not isinstance(config, str):
        wanted = f"{name} --revision {revision}" if revision else name
        raise ConfigError(
            f"{what} is neither a directory nor in this machine's HuggingFace cache, and judges download nothing; "
            f"run `hf download {wanted}` first"
        )
    return name


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__
