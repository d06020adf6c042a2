"""Finding judges, explainers and scorers by name: built in, or installed by others as entry points.

A plug-in is a factory at a dotted path. Only the one that is named gets imported, so a broken neighbour does no
harm. The module knows nothing of what the factories make.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import metadata
from typing import Any

from autointerp.errors import AutointerpError, PluginError
from autointerp.judges.protocol import Judge

__all__ = ["BUILTIN", "PluginListing", "list_judges", "list_plugins", "load_plugin", "open_judge", "split_spec"]

BUILTIN: dict[str, dict[str, str]] = {
    "autointerp.judges": {
        "pattern": "autointerp.judges.pattern:open_judge",
        "openai": "autointerp.judges.openai:open_judge",
        "oracle": "autointerp.judges.scripted:open_oracle",
        "liar": "autointerp.judges.scripted:open_liar",
        "coin": "autointerp.judges.scripted:open_coin",
        "mumbler": "autointerp.judges.scripted:open_mumbler",
        "noisy": "autointerp.judges.scripted:open_noisy",
        "literal": "autointerp.judges.scripted:open_literal",
    },
    "autointerp.explainers": {"windows": "autointerp.explain.windows:open_explainer"},
    "autointerp.scorers": {
        "marked": "autointerp.score.marked:open_scorer",
        "detection": "autointerp.score.detection:open_scorer",
    },
}
"""The package's own plug-ins, the same as its entry points: a checkout that was never installed has no metadata."""

_OWN_DISTRIBUTION = "autointerp"

_IMPORT_FAILURES = (
    ImportError,
    AttributeError,
    NameError,
    SyntaxError,
    TypeError,
    ValueError,
    LookupError,
    OSError,
    RuntimeError,
    AssertionError,
    ArithmeticError,
)
"""What a stranger's module may raise while it is imported."""


@dataclass(frozen=True, slots=True)
class PluginListing:
    """A plug-in that could be loaded. `target` is its dotted path, `distribution` who brings it."""

    name: str
    target: str
    distribution: str

    @property
    def is_builtin(self) -> bool:
        return self.distribution == _OWN_DISTRIBUTION


def list_plugins(group: str) -> list[PluginListing]:
    """The plug-ins of a group (`autointerp.judges`, ...) without importing any, built-in ones first, by name.

    Raises PluginError when two distributions bring the same name.
    """
    found = {name: PluginListing(name, target, _OWN_DISTRIBUTION) for name, target in BUILTIN.get(group, {}).items()}
    for point in metadata.entry_points(group=group):
        distribution = point.dist.name if point.dist is not None else "unknown"
        known = found.get(point.name)
        if known is None:
            found[point.name] = PluginListing(point.name, point.value, distribution)
        elif known.target != point.value and distribution != _OWN_DISTRIBUTION:
            raise PluginError(
                f"{_noun(group)} '{point.name}' is brought by both {known.distribution} and {distribution}; "
                "uninstall one of them"
            )
    return sorted(found.values(), key=lambda listing: (not listing.is_builtin, listing.name))


def list_judges() -> list[PluginListing]:
    """The judges that exist, without importing any."""
    return list_plugins("autointerp.judges")


def load_plugin(group: str, name: str) -> Callable[..., Any]:
    """The factory called `name`. Raises PluginError when there is none, or when it cannot be imported."""
    listings = {listing.name: listing for listing in list_plugins(group)}
    listing = listings.get(name)
    if listing is None:
        near = get_close_matches(name, listings, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise PluginError(f"unknown {_noun(group)} '{name}'; {hint}there are: {', '.join(listings) or 'none'}")
    module, _, attribute = listing.target.partition(":")
    try:
        factory = importlib.import_module(module)
        for part in attribute.split("."):
            factory = getattr(factory, part)
    except _IMPORT_FAILURES as error:
        raise PluginError(
            f"{_noun(group)} '{name}' of {listing.distribution} cannot be loaded from {listing.target} "
            f"({type(error).__name__}: {error}); repair or uninstall {listing.distribution}"
        ) from error
    if not callable(factory):
        raise PluginError(f"{_noun(group)} '{name}' of {listing.distribution}: {listing.target} cannot be called")
    return factory


def split_spec(spec: str) -> tuple[str, str | None]:
    """`NAME` or `NAME:MODEL` as name and model; the model may hold further colons."""
    name, _, model = spec.partition(":")
    return name, model or None


def open_judge(spec: str, options: Mapping[str, Any] | None = None) -> Judge:
    """The judge called `NAME` or `NAME:MODEL`, with its options (the config's `[judges.NAME]`).

    Raises PluginError for an unknown or broken judge, ConfigError for a wrong option.
    """
    name, model = split_spec(spec)
    factory = load_plugin("autointerp.judges", name)
    try:
        judge = factory(model, dict(options or {}))
    except AutointerpError:
        raise
    except ImportError as error:
        raise PluginError(f"judge '{name}' needs a package that is missing ({error}); install it") from error
    if not isinstance(judge, Judge):
        raise PluginError(f"judge '{name}': its factory made a {type(judge).__name__}, which is no judge (ask, aclose)")
    return judge


def _noun(group: str) -> str:
    return group.rpartition(".")[2].removesuffix("s")
