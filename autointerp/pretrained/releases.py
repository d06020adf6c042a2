"""Released dictionaries by name: where their files are on the HuggingFace hub, and fetching them into its cache."""

from __future__ import annotations

import difflib
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from autointerp.errors import InputError
from autointerp.hub import HubUnknown, HubUnreachable, look_up, network_errors
from autointerp.resources import resource
from autointerp.small_files import read_toml

__all__ = ["Release", "ReleasedFiles", "fetch_released", "find_release", "named_releases"]


@dataclass(frozen=True, slots=True)
class ReleasedFiles:
    """The files of one dictionary; the first one is opened."""

    repository: str
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One table of releases/dictionaries.toml."""

    name: str
    repository: str
    # a format of sae_core.foreign
    layout: str
    subject: str
    layers: tuple[int, ...]
    # by the site read
    files: Mapping[str, tuple[str, ...]]
    # the site a transcoder writes
    writes: str | None = None
    options: Mapping[str, tuple[str, ...]]
    # options with a value per layer where none is chosen
    each: Mapping[str, tuple[str, ...]]
    # as its model card states it, where one was seen
    licence: str | None = None

    def locate(self, *, site: str, layer: int, options: Mapping[str, Any]) -> ReleasedFiles:
        """Raises InputError, naming the key, for a site, layer or option that the release does not have."""
        if site not in self.files:
            raise InputError(f"site = '{site}': the release '{self.name}' has {', '.join(self.files)}")
        if layer not in self.layers:
            raise InputError(f"layer = {layer}: the release '{self.name}' has {_ranged(self.layers)}")
        for key in options:
            if key not in self.options and key not in self.each:
                known = ", ".join((*self.options, *self.each)) or "no options"
                raise InputError(f"options.{key}: the release '{self.name}' has {known}")
        values = {key: each[self.layers.index(layer)] for key, each in self.each.items()} | dict(options)
        for key, allowed in self.options.items():
            if str(values.get(key)) not in allowed:
                raise InputError(f"options.{key} = {values.get(key)!r}: must be one of {', '.join(allowed)}")
        filled = {"layer": layer, **values}
        return ReleasedFiles(
            self.repository.format_map(filled), tuple(path.format_map(filled) for path in self.files[site])
        )

    def to_json(self) -> dict[str, Any]:
        stated = ("name", "repository", "layout", "subject", "writes", "licence")
        return {
            **{key: getattr(self, key) for key in stated},
            "layers": list(self.layers),
            "files": {site: list(paths) for site, paths in self.files.items()},
            "options": {key: list(values) for key, values in self.options.items()},
            "each": {key: list(values) for key, values in self.each.items()},
        }

    def in_short(self) -> str:
        """Where and what it is, and the options to choose from, in a line."""
        sites = ", ".join(self.files) + (f" -> {self.writes}" if self.writes else "")
        options = "".join(f"; {key} = {' | '.join(values)}" for key, values in self.options.items())
        return f"{self.subject}, {sites}, {_ranged(self.layers)}{options}"


@cache
def named_releases() -> dict[str, Release]:
    tables: dict[str, dict[str, Any]] = read_toml(resource("releases/dictionaries.toml"))
    return {name: _release(name, table) for name, table in tables.items()}


def find_release(name: str) -> Release:
    """Raises InputError for an unknown name."""
    releases = named_releases()
    if name not in releases:
        near = difflib.get_close_matches(name, releases, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise InputError(f"release = '{name}' is not known; {hint}`autointerp dictionaries list` shows all")
    return releases[name]


def fetch_released(files: ReleasedFiles) -> Path:
    """The file that is opened, with the others beside it, in the hub's cache.

    Raises InputError where the hub cannot be reached, or has no such repository or file.
    """
    from huggingface_hub import hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
    from huggingface_hub.utils import disable_progress_bars

    cached = [try_to_load_from_cache(files.repository, path) for path in files.paths]
    if all(isinstance(path, str) for path in cached):
        return Path(str(cached[0]))
    try:
        commit = look_up(files.repository, kind="model")
    except HubUnknown as error:
        raise InputError(f"the HuggingFace hub has no {files.repository} that you may read ({error})") from error
    except HubUnreachable as error:
        raise InputError(
            f"{files.repository} is not in this machine's cache, and the HuggingFace hub could not be reached "
            f"({error}); run it where there is network, or give a downloaded copy: kind = 'load', path = '...'"
        ) from error
    disable_progress_bars()
    try:
        found = [hf_hub_download(files.repository, path, revision=commit or None) for path in files.paths]
    except (EntryNotFoundError, *network_errors()) as error:
        if isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError):
            told = f"{files.repository} has not all of {', '.join(files.paths)}"
        else:
            told = "the download from the HuggingFace hub broke off"
        raise InputError(f"{told} ({_first_line(error)})") from error
    return Path(found[0])


def _release(name: str, table: Mapping[str, Any]) -> Release:
    layers = table["layers"]
    made = Release(
        name=name,
        **{
            **table,
            "layers": tuple(range(layers) if isinstance(layers, int) else layers),
            **{key: _tuples(table.get(key, {})) for key in ("files", "options", "each")},
        },
    )
    patterns = [made.repository, *(path for paths in made.files.values() for path in paths)]
    fields = {field for pattern in patterns for _, field, _, _ in string.Formatter().parse(pattern) if field}
    if fields - {"layer"} != {*made.options, *made.each} or any(len(v) != len(made.layers) for v in made.each.values()):
        raise ValueError(f"releases/dictionaries.toml: {name}: its options are not those of its patterns")
    return made


def _tuples(table: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    return {key: tuple(values) for key, values in table.items()}


def _ranged(layers: Sequence[int]) -> str:
    if len(layers) > 1 and list(layers) == list(range(layers[0], layers[-1] + 1)):
        return f"layers {layers[0]} to {layers[-1]}"
    return f"layer{'s' * (len(layers) > 1)} {', '.join(map(str, layers))}"


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
