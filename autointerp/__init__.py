"""autointerp: how interpretable the features of language models are.

`Run` opens a run that is there, `evaluate` makes one. Importing the package loads neither torch nor pandas.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autointerp.config.loading import load_config
    from autointerp.config.tree import Config
    from autointerp.errors import AutointerpError
    from autointerp.evaluation import evaluate
    from autointerp.records.evidence import Evidence
    from autointerp.records.evidence_file import read_evidence
    from autointerp.records.verdict import Explanation, Verdict
    from autointerp.records.window import Window
    from autointerp.run import Feature, Run

__all__ = [
    "AutointerpError",
    "Config",
    "Evidence",
    "Explanation",
    "Feature",
    "Run",
    "Verdict",
    "Window",
    "evaluate",
    "load_config",
    "read_evidence",
]

_MODULES = {
    "AutointerpError": "errors",
    "Config": "config.tree",
    "Evidence": "records.evidence",
    "Explanation": "records.verdict",
    "Feature": "run",
    "Run": "run",
    "Verdict": "records.verdict",
    "Window": "records.window",
    "evaluate": "evaluation",
    "load_config": "config.loading",
    "read_evidence": "records.evidence_file",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'; it has {', '.join(__all__)}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
