"""Sparse dictionaries on activation tensors: train, load, save and measure them.

Names load on first use, so importing the package does not load torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sae_core.checkpoint import load_dictionary, save_dictionary
    from sae_core.config import DictionaryConfig, TrainingConfig
    from sae_core.dictionary import Dictionary, SparseCode
    from sae_core.errors import SaeCoreError
    from sae_core.quality import Quality, measure_quality
    from sae_core.training.cohort import TrainedDictionary
    from sae_core.training.loop import train_dictionaries

__all__ = [
    "Dictionary",
    "DictionaryConfig",
    "Quality",
    "SaeCoreError",
    "SparseCode",
    "TrainedDictionary",
    "TrainingConfig",
    "load_dictionary",
    "measure_quality",
    "save_dictionary",
    "train_dictionaries",
]

_MODULES = {
    "Dictionary": "dictionary",
    "DictionaryConfig": "config",
    "Quality": "quality",
    "SaeCoreError": "errors",
    "SparseCode": "dictionary",
    "TrainedDictionary": "training.cohort",
    "TrainingConfig": "config",
    "load_dictionary": "checkpoint",
    "measure_quality": "quality",
    "save_dictionary": "checkpoint",
    "train_dictionaries": "training.loop",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'; it has {', '.join(__all__)}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
