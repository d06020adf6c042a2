"""Plug-ins by name: built in, or installed by others as entry points.

Only the one that is named gets imported, so a broken neighbour does no harm.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from importlib import metadata
from typing import Any, Protocol, TypeVar

from autointerp.builtin_plugins import BUILTIN
from autointerp.distribution import DISTRIBUTION
from autointerp.errors import AutointerpError, PluginError
from autointerp.judges.judge import Judge

__all__ = [
    "PluginListing",
    "is_in_process",
    "list_judges",
    "list_plugins",
    "load_plugin",
    "noun_of",
    "open_judge",
    "open_plugin",
    "split_spec",
]

Plugin = TypeVar("Plugin")


@dataclass(frozen=True, slots=True)
class PluginListing:
    name: str
    # dotted path of its factory
    target: str
    distribution: str
    # other distributions with another plug-in of the same name, which makes the name unusable
    rivals: tuple[str, ...] = ()

    @property
    def is_builtin(self) -> bool:
        return self.distribution == DISTRIBUTION


def list_plugins(group: str) -> list[PluginListing]:
    """The plug-ins of a group, none imported, built-in ones first."""
    listings = {name: PluginListing(name, target, DISTRIBUTION) for name, target in BUILTIN[group].items()}
    for point in metadata.entry_points(group=group):
        known = listings.get(point.name)
        if known is not None and known.target == point.value:
            continue
        distribution = point.dist.name if point.dist is not None else "unknown"
        if distribution == DISTRIBUTION:
            continue  # a checkout that was installed when it had entry points of its own
        if known is None:
            listings[point.name] = PluginListing(point.name, point.value, distribution)
        else:
            listings[point.name] = replace(known, rivals=(*known.rivals, distribution))
    return sorted(listings.values(), key=lambda listing: (not listing.is_builtin, listing.name))


def list_judges() -> list[PluginListing]:
    return list_plugins("autointerp.judges")


def load_plugin(group: str, name: str) -> Callable[..., Any]:
    """The factory called `name`. Raises PluginError when there is none, or when it cannot be imported."""
    return _load(group, _find(group, name))


def open_plugin(group: str, name: str, *arguments: Any, kind: type[Plugin]) -> Plugin:
    """What the factory called `name` makes of `arguments`.

    Raises PluginError for an unknown or broken plug-in, AutointerpError as the factory raises it (a wrong option).
    """
    listing = _find(group, name)
    factory = _load(group, listing)
    try:
        made = factory(*arguments)
    except AutointerpError:
        raise
    except ImportError as error:
        raise PluginError(
            f"{_called(group, listing)} needs a package that is missing ({_line(error)}); install it"
        ) from error
    except (Exception, SystemExit) as error:
        if listing.is_builtin:
            raise  # a bug of ours, and its traceback is wanted
        raise PluginError(
            f"{_called(group, listing)} cannot be made by {listing.target} ({_said(error)}); "
            f"check its options, or repair or uninstall {listing.distribution}"
        ) from error
    if not isinstance(made, kind):
        lacks = [member for member in _members(kind) if not hasattr(made, member)]
        is_protocol = Protocol in kind.__mro__
        fix = f"it lacks {', '.join(lacks)}" if is_protocol else f"derive it from {kind.__module__}.{kind.__name__}"
        raise PluginError(
            f"{_called(group, listing)}: its factory made a {type(made).__name__}, which is no {noun_of(group)}: {fix}"
        )
    return made


def split_spec(spec: str) -> tuple[str, str | None]:
    """`NAME` or `NAME:MODEL` as name and model; the model may hold further colons."""
    name, _, model = spec.partition(":")
    return name, model or None


def is_in_process(spec: str) -> bool:
    """Whether a built-in judge's model runs in the process that asks."""
    return ".in_process." in BUILTIN["autointerp.judges"].get(split_spec(spec)[0], "")


def open_judge(spec: str, options: Mapping[str, Any] | None = None) -> Judge:
    """`options`: the config's `[judges.NAME]`. Raises PluginError for an unknown or broken judge, ConfigError for a
    wrong option.
    """
    name, model = split_spec(spec)
    return open_plugin("autointerp.judges", name, model, dict(options or {}), kind=Judge)


def _load(group: str, listing: PluginListing) -> Callable[..., Any]:
    module, _, attribute = listing.target.partition(":")
    try:
        factory = importlib.import_module(module)
        for part in attribute.split("."):
            factory = getattr(factory, part)
    except (Exception, SystemExit) as error:
        # a stranger's module may raise anything while it is imported; what it was stands in the message
        raise PluginError(
            f"{_called(group, listing)} cannot be loaded from {listing.target} ({_said(error)}); "
            f"repair or uninstall {listing.distribution}"
        ) from error
    if not callable(factory):
        raise PluginError(f"{_called(group, listing)}: {listing.target} cannot be called")
    return factory


def _find(group: str, name: str) -> PluginListing:
    listings = {listing.name: listing for listing in list_plugins(group)}
    listing = listings.get(name)
    if listing is None:
        near = get_close_matches(name, listings, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise PluginError(f"unknown {noun_of(group)} '{name}'; {hint}there are: {', '.join(listings) or 'none'}")
    if listing.rivals:
        all_of_them = ", ".join(listing.rivals)
        raise PluginError(
            f"{noun_of(group)} '{name}' is brought by both {listing.distribution} and {all_of_them}; "
            f"uninstall {all_of_them if listing.is_builtin else 'all but one of them'}"
        )
    return listing


def _members(protocol: type) -> list[str]:
    """What a protocol asks for."""
    # `typing.get_protocol_members` from Python 3.12 on
    return sorted(name for name in vars(protocol) if not name.startswith("_"))


def _called(group: str, listing: PluginListing) -> str:
    return f"{noun_of(group)} '{listing.name}' of {listing.distribution}"


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {_line(error)}"


def _line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 300 else text[:300] + "..."


def noun_of(group: str) -> str:
    plural = group.rpartition(".")[2]
    return plural.removesuffix("ies") + "y" if plural.endswith("ies") else plural.removesuffix("s")
