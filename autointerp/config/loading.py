"""From TOML and `--set key=<TOML literal>` overrides to a checked Config."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import BaseModel, ValidationError

from autointerp.config.earlier import as_said_now
from autointerp.config.tree import Config
from autointerp.errors import ConfigError, UnreadableFile
from autointerp.resources import resource
from autointerp.small_files import read_toml

__all__ = [
    "differing_keys",
    "explain_error",
    "keep_dictionaries",
    "load_config",
    "override",
    "parse_config",
    "read_tree",
    "render_config",
    "render_override",
]


def load_config(path: str | Path, overrides: Iterable[str] = ()) -> Config:
    """The config of a TOML file, or of a shipped recipe by its bare name (`demo`), with overrides.

    Raises ConfigError, naming the key, for a missing file, bad TOML, an unknown key or a bad value.
    """
    return parse_config(read_tree(path), overrides)


def read_tree(path: str | Path) -> dict[str, Any]:
    """The raw values of a TOML file or shipped recipe. Raises ConfigError."""
    file = Path(path)
    if not file.is_file():
        shipped = resource(f"configs/{path}.toml")
        if file.suffix or not shipped.is_file():
            recipes = ", ".join(sorted(p.stem for p in resource("configs").glob("*.toml")))
            raise ConfigError(f"config '{path}' does not exist; give a .toml file or one of the recipes: {recipes}")
        file = shipped
    try:
        return read_toml(file)
    except UnreadableFile as error:
        raise ConfigError(f"config {error}; mend the file") from None


def parse_config(tree: Mapping[str, Any], overrides: Iterable[str] = ()) -> Config:
    """A checked config from plain values and overrides."""
    merged = override(as_said_now(_copy(tree)), overrides)
    try:
        return Config.model_validate(merged)
    except ValidationError as error:
        raise ConfigError(explain_error(error, Config)) from None


def override(tree: Mapping[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """A copy of plain values with overrides applied. Raises ConfigError for one that fits nowhere."""
    merged: dict[str, Any] = _copy(tree)
    for each in overrides:
        _apply(merged, each)
    return merged


def keep_dictionaries(config: Config, names: Sequence[str]) -> Config:
    """The config with some of its dictionaries. Raises ConfigError for a name that it has not, and where one that is
    kept needs one that is not.
    """
    known = [entry.name for entry in config.dictionaries]
    for name in names:
        if name not in known:
            raise ConfigError(f"--dictionaries: there is no '{name}'; the config has {', '.join(known)}")
    tree = tomllib.loads(render_config(config))
    return parse_config(tree | {"dictionaries": [entry for entry in tree["dictionaries"] if entry["name"] in names]})


def render_config(config: Config) -> str:
    """The config as TOML with defaults; reading it gives an equal Config.

    With a paper's preset, keys that are left to it stay out: written out, defaults would count as said.
    """
    tree = config.model_dump(mode="json")
    if config.score.preset not in (None, "default"):
        for name in ("harvest", "explain", "score"):
            said = getattr(config, name).model_fields_set
            tree[name] = {key: value for key, value in tree[name].items() if key in said}
    return tomli_w.dumps(_without_none(tree))


def render_override(key: str, value: str | int) -> str:
    """An override that sets a key to this exact value."""
    return f"{key}={tomli_w.dumps({'value': value}).removeprefix('value = ').rstrip()}"


def differing_keys(before: Config, after: Config) -> list[str]:
    """Dotted keys with differing values, and both values."""
    left, right = _flatten(before.model_dump(mode="json")), _flatten(after.model_dump(mode="json"))
    keys = [key for key in sorted(left.keys() | right.keys()) if left.get(key) != right.get(key)]
    return [f"{key}: {left.get(key)!r} -> {right.get(key)!r}" for key in keys]


def _apply(tree: dict[str, Any], override: str) -> None:
    key, separator, literal = override.partition("=")
    path = [part.strip() for part in key.split(".")]
    if not separator or not all(path):
        raise ConfigError(f"--set '{override}' is not of the form key.subkey=<TOML value>")
    try:
        value = tomllib.loads(f"value = {literal}")["value"]
    except tomllib.TOMLDecodeError:
        # A bare word is taken as a string, so that a path or a name needs no quotes inside the shell's.
        value = literal
    node: Any = tree
    for depth, part in enumerate(path):
        last = depth == len(path) - 1
        if isinstance(node, list):
            node = _list_item(node, part, override)
            if last:
                raise ConfigError(f"--set '{override}' replaces a whole list item; name one of its keys")
            continue
        if not isinstance(node, dict):
            raise ConfigError(f"--set '{override}': '{'.'.join(path[:depth])}' is a value, not a table")
        if last:
            node[part] = value
        else:
            node = node.setdefault(part, {})


def _list_item(items: list[Any], part: str, override: str) -> Any:
    for index, item in enumerate(items):
        if part == str(index) or (isinstance(item, dict) and item.get("name") == part):
            return item
    names = ", ".join(str(item.get("name", i)) for i, item in enumerate(items) if isinstance(item, dict))
    raise ConfigError(f"--set '{override}': there is no item '{part}'; the items are {names}")


def explain_error(error: ValidationError, model: type[BaseModel], *, place: str = "") -> str:
    """The first mistake in one line; `place` is the key of `model`'s table."""
    first = error.errors(include_url=False)[0]
    # pydantic adds the branch of a union to the path; it is no key of the user's.
    parts = [str(part) for part in first["loc"] if isinstance(part, int) or part.isidentifier()]
    key = ".".join([place, *parts] if place else parts)
    if first["type"] == "extra_forbidden":
        known = _known_keys(model, first["loc"][:-1])
        near = difflib.get_close_matches(str(first["loc"][-1]), known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known here: {', '.join(sorted(known))}"
        return f"unknown key '{key}' in the config; {hint}"
    if first["type"] == "missing":
        return f"the key '{key}' is missing from the config; add it"
    message = first["msg"].removeprefix("Value error, ")
    given = first.get("input")
    is_told = not isinstance(given, dict | list) and first["loc"][:1] != ("judges",)  # there people paste keys
    shown = f" = {given!r}" if is_told else ""
    return f"{key}{shown}: {message}" if key else message


def _known_keys(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    current: Any = model
    for part in location:
        if isinstance(part, int):
            continue
        field = current.model_fields.get(part)
        if field is None:
            return []
        current = next((t for t in _models_in(field.annotation)), None)
        if current is None:
            return []
    return list(current.model_fields)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in getattr(annotation, "__args__", ()) for model in _models_in(argument)]


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copy(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_copy(item) for item in value]
    return value


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_none(item) for item in value]
    return value


def _flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        pairs = value.items()
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        pairs = ((item.get("name", index), item) for index, item in enumerate(value))
    else:
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, item in pairs:
        flat |= _flatten(item, f"{prefix}.{key}" if prefix else str(key))
    return flat
