"""Every key of a config with type, default and meaning, as Markdown and as a commented TOML file."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

import tomli_w
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from autointerp.config.asking import ExplainerConfig, ScorerConfig
from autointerp.config.core_settings import core_default
from autointerp.config.dictionary_entry import DictionaryEntry, users_of
from autointerp.config.own_settings import declared_settings
from autointerp.config.tree import Config, TrainConfig
from autointerp.judges.endpoint.embedding import EmbeddingOptions
from autointerp.judges.endpoint.endpoint import OpenAIOptions
from autointerp.judges.human.judge import HumanOptions
from autointerp.judges.in_process.local import LocalOptions
from autointerp.judges.in_process.local_embedding import LocalEmbeddingOptions
from autointerp.judges.in_process.vllm import VllmOptions
from autointerp.judges.offline.scripted import CoinOptions, KeyOptions, LiteralOptions, NoisyOptions
from autointerp.plugins import list_plugins, load_plugin

__all__ = [
    "COMPONENTS",
    "JUDGE_OPTIONS",
    "Section",
    "commented_config",
    "component_section",
    "iter_sections",
    "render_reference",
]

# Options of the built-in judges.
JUDGE_OPTIONS: Mapping[str, type[BaseModel]] = {
    "openai": OpenAIOptions,
    "vllm": VllmOptions,
    "local": LocalOptions,
    "embedding": EmbeddingOptions,
    "local_embedding": LocalEmbeddingOptions,
    "human": HumanOptions,
    "oracle": KeyOptions,
    "liar": KeyOptions,
    "noisy": NoisyOptions,
    "coin": CoinOptions,
    "literal": LiteralOptions,
}

# Lists of tables with keys of their own, by plug-in group, with their common settings.
COMPONENTS: Mapping[str, tuple[str, Any]] = {
    "explain.explainers": ("autointerp.explainers", ExplainerConfig),
    "score.scorers": ("autointerp.scorers", ScorerConfig),
}

_HEAD = """\
# Configuration

A run is one TOML file. `autointerp init` writes a commented one to start from, `autointerp config` prints this page
(`autointerp config SECTION` a part of it), and `--set KEY=VALUE` changes a key for one command. Lists of tables are
addressed by name or place: `--set dictionaries.sae.k=16`, `--set score.scorers.0.n_positive=10`. An unknown key is an
error, and so is one that the dictionary, explainer or scorer it is said of does not use. This page is made from the
schema: `autointerp config > docs/config.md`.
"""
_WIDTH = 118


class Section(NamedTuple):
    """One table of the file."""

    name: str
    model: type[BaseModel]
    is_list: bool = False
    is_optional: bool = False
    common: type[ExplainerConfig] | type[ScorerConfig] | None = None

    @property
    def title(self) -> str:
        if self.common is not None:
            place, _, name = self.name.rpartition(".")
            return f'[[{place}]] name = "{name}"'
        return f"[[{self.name}]]" if self.is_list else f"[{self.name}]"


def iter_sections() -> Iterator[Section]:
    """All tables, then the judges' options."""
    place = ""
    for section in _sections(Section("", Config)):
        if place and not section.name.startswith(f"{place}."):
            yield from _builtin_components(place)
            place = ""
        yield section
        place = section.name if section.name in COMPONENTS else place
    for judge, options in JUDGE_OPTIONS.items():
        yield Section(f"judges.{judge}", options)


def _builtin_components(place: str) -> Iterator[Section]:
    for listing in list_plugins(COMPONENTS[place][0]):
        if listing.is_builtin:
            yield component_section(place, listing.name)


def component_section(place: str, name: str) -> Section:
    """The table of one explainer or scorer of the list at `place`. Raises PluginError."""
    group, common = COMPONENTS[place]
    return Section(f"{place}.{name}", declared_settings(load_plugin(group, name), common), common=common)


def render_reference(sections: Sequence[Section]) -> str:
    """The sections as Markdown."""
    lines = [_HEAD] if len(sections) > 1 else []
    for section in sections:
        lines.append(f"## `{section.title}`\n" if section.name else "## Top level\n")
        if section.common is not None:
            lines.append(f"{_wrapped(_used(section.model, section.common))}\n")
        elif section.name and not section.name.startswith("judges."):
            lines.append(f"{_wrapped(inspect.getdoc(section.model) or '')}\n")
        told = _docstrings(section.model)
        for key, field in section.model.model_fields.items():
            if not _is_table(field) and (section.common is None or key not in section.common.model_fields):
                lines.append(_entry(section.model, key, field, told.get(key, "")))
        lines.append("")
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"


def _used(model: type[BaseModel], common: type[ExplainerConfig] | type[ScorerConfig]) -> str:
    """The common keys it uses, and whether its own follow."""
    used = [f"`{key}`" for key in common.model_fields if key in getattr(model, "uses", ())]
    words = f"Uses {', '.join(used)}" if used else "Uses none of the keys above that are about windows"
    return words + ("; its own:" if model.model_fields.keys() > common.model_fields.keys() else ".")


def commented_config(tree: Mapping[str, Any]) -> str:
    """A config with the values of `tree`; other keys are comments with their defaults."""
    lines = ["# What is commented out shows the default; `autointerp config SECTION` explains a section's keys."]
    lists: list[str] = []
    for section in _sections(Section("", Config)):
        if any(section.name.startswith(f"{name}.") for name in lists):
            continue
        given = _given(tree, section.name)
        if section.is_list:
            lists.append(section.name)
            lines += ["", f"# {section.title}: `autointerp config {section.name}` lists its keys"]
            lines += _tables(section.title, given or ())
            continue
        if section.name:
            lines += ["", f"# {section.title}" if section.is_optional and given is None else section.title]
        told = _docstrings(section.model)
        for key, field in section.model.model_fields.items():
            if not _is_table(field):
                lines += [*_comment(told.get(key, "")), _assignment(key, field, given or {})]
    lines += ["", "# Options of judges: `autointerp config judges.openai`", *_judges(tree.get("judges", {}))]
    return "\n".join(lines).rstrip() + "\n"


def _tables(title: str, items: Sequence[Mapping[str, Any]]) -> list[str]:
    lines: list[str] = []
    for item in items:
        lines += [title, *(f"{key} = {_literal(value)}" for key, value in item.items()), ""]
    return lines[:-1]


def _judges(judges: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return [tomli_w.dumps({"judges": judges}).strip()] if judges else []


def _sections(section: Section) -> Iterator[Section]:
    yield section
    for key, field in section.model.model_fields.items():
        for inner in _models_in(field.annotation):
            is_optional = NoneType in _parts(field.annotation)
            name = f"{section.name}.{key}".strip(".")
            yield from _sections(Section(name, inner, _is_list(field.annotation), is_optional))


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]


def _is_list(annotation: Any) -> bool:
    return get_origin(annotation) is tuple or any(_is_list(argument) for argument in get_args(annotation))


def _is_table(field: FieldInfo) -> bool:
    own = [part for part in _parts(field.annotation) if part is not NoneType]
    return all(_models_in(part) for part in own) or field.annotation == dict[str, dict[str, Any]]


def _parts(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)


def _docstrings(model: type[BaseModel]) -> dict[str, str]:
    """Docstrings by field, base classes included."""
    docs: dict[str, str] = {}
    for kind in reversed(model.__mro__):
        if not (issubclass(kind, BaseModel) and "__annotations__" in vars(kind)) or kind.__module__ == "pydantic.main":
            continue
        source = vars(kind).get("core", kind)  # who was made of a configuration has no source of its own
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(source))).body
        body = getattr(tree, "body", [])
        for field, below in pairwise(body):
            if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
                continue
            if field.target.id not in vars(kind)["__annotations__"]:
                continue
            if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
                docs[field.target.id] = inspect.cleandoc(str(below.value.value))
    return docs


def _entry(model: type[BaseModel], key: str, field: FieldInfo, told: str) -> str:
    users = users_of(key) if model is DictionaryEntry else ""
    facts = [_type_of(field), _shown_default(model, key, field), *([f"for {users}"] if users else [])]
    text = f"- **`{key}`** ({'; '.join(facts)})"
    return _wrapped(f"{text}: {told}" if told else text, indent="  ")


def _shown_default(model: type[BaseModel], key: str, field: FieldInfo) -> str:
    if field.is_required():
        return "must be given"
    default = _default(field)
    if model is DictionaryEntry and default is None:
        if key in TrainConfig.model_fields:
            return "as in [train] by default"
        default = core_default(model, key)
    return "left out by default" if default is None else f"default `{_literal(default)}`"


def _type_of(field: FieldInfo) -> str:
    limits = [text for part in field.metadata for text in _limits(part)]
    names = list(dict.fromkeys(_names_of(part) for part in _parts(field.annotation) if part is not NoneType))
    return " or ".join(names) + (f", {' and '.join(limits)}" if limits else "")


def _names_of(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(f"`{_literal(value)}`" for value in arguments)
    if origin is tuple:
        return f"list of {_names_of(arguments[0])}"
    if origin is dict or annotation is dict:
        return "table"
    if hasattr(annotation, "__metadata__"):  # Annotated
        limits = [text for part in annotation.__metadata__ for text in _limits(part)]
        return _names_of(arguments[0]) + (f", {' and '.join(limits)}" if limits else "")
    if _models_in(annotation):
        return "table"
    named = {str: "text", int: "whole number", float: "number", bool: "true or false", Path: "path"}
    return named.get(annotation, str(annotation))


def _limits(part: Any) -> Iterator[str]:
    for name, sign in (("gt", ">"), ("ge", "≥"), ("lt", "<"), ("le", "≤")):
        if getattr(part, name, None) is not None:
            yield f"{sign} {getattr(part, name):g}"
    for inner in getattr(part, "metadata", ()):
        yield from _limits(inner)


def _default(field: FieldInfo) -> Any:
    value = field.get_default(call_default_factory=True)
    return None if value is PydanticUndefined else value


def _literal(value: Any) -> str:
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json", exclude_none=True)
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_literal, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key} = {_literal(item)}' for key, item in value.items())}}}"
    plain = str(value) if isinstance(value, Path) else value
    return tomli_w.dumps({"value": plain}).removeprefix("value = ").strip()


def _given(tree: Mapping[str, Any], name: str) -> Any:
    node: Any = tree
    for part in name.split(".") if name else ():
        node = node.get(part) if isinstance(node, Mapping) else None
    return node


def _assignment(key: str, field: FieldInfo, given: Mapping[str, Any]) -> str:
    if key in given:
        return f"{key} = {_literal(given[key])}"
    default = _default(field)
    return f"# {key} = {'...' if default is None else _literal(default)}"


def _comment(told: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(" ".join(told.split()), _WIDTH - 2)]


def _wrapped(text: str, *, indent: str = "") -> str:
    paragraphs = text.split("\n\n")
    return "\n\n".join(
        textwrap.fill(
            " ".join(p.split()), _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        )
        for p in paragraphs
    )
