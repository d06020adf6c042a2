"""Prompts as versioned files.

TOML front matter between two `+++` lines (`version`, `variables`, `reply`), then jinja2 templates of messages, each
after `<!-- system -->`, `<!-- user -->` or `<!-- assistant -->`. The file's hash is stored with every answer.

`NAME.v2.md` is `NAME.md` with `changes`, which its front matter lists and its text takes as a variable; without any it
reads as `NAME.md` does.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal, cast

import jinja2
import jinja2.meta

from autointerp.errors import InputError
from autointerp.judges.judge import Message
from autointerp.resources import resource

__all__ = ["Prompt", "joint_hash", "load_changed_prompt", "load_prompt", "read_prompt"]

_FRONT_MATTER = re.compile(r"\A\+\+\+\n(.*?)^\+\+\+\n(.*)\Z", re.DOTALL | re.MULTILINE)
_ROLE_LINE = re.compile(r"^<!-- (system|user|assistant) -->\n", re.MULTILINE)
_ENVIRONMENT = jinja2.Environment(
    undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False, keep_trailing_newline=True
)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt file; `hash` is of its bytes, and of `changes` if it has any."""

    name: str
    version: int
    variables: frozenset[str]
    reply: str
    hash: str
    templates: tuple[tuple[str, jinja2.Template], ...]
    changes: frozenset[str] = frozenset()

    @property
    def takes(self) -> frozenset[str]:
        """The variables a caller gives."""
        return self.variables - {"changes"}

    def render(self, **values: object) -> tuple[Message, ...]:
        """Raises ValueError for missing or undeclared variables."""
        missing, extra = sorted(self.takes - values.keys()), sorted(values.keys() - self.takes)
        if missing or extra:
            parts = [f"missing {', '.join(missing)}"] if missing else []
            parts += [f"unknown {', '.join(extra)}"] if extra else []
            takes = ", ".join(sorted(self.takes))
            raise ValueError(f"prompt '{self.name}': variables {' and '.join(parts)}; it takes {takes}")
        values["changes"] = self.changes
        return tuple(
            Message(role=cast("Literal['system', 'user', 'assistant']", role), content=template.render(values).strip())
            for role, template in self.templates
        )


@cache
def load_prompt(name: str) -> Prompt:
    """Shipped prompt, such as `score/detection`. Raises InputError if missing or malformed."""
    return read_prompt(resource(f"prompts/{name}.md"), name=name)


def load_changed_prompt(name: str, changes: Collection[str]) -> Prompt:
    """Shipped prompt with those of the changes that it knows; version 1, with its hash, where it knows none."""
    if not changes or not resource(f"prompts/{name}.v2.md").is_file():
        return load_prompt(name)
    prompt = load_prompt(f"{name}.v2")
    wanted = prompt.changes & frozenset(changes)
    if not wanted:
        return load_prompt(name)
    signed = " ".join([prompt.hash, *sorted(wanted)])
    return replace(prompt, changes=wanted, hash=hashlib.sha256(signed.encode()).hexdigest()[:16])


def joint_hash(*prompts: Prompt) -> str:
    """Hash of prompts used together; of one, its own."""
    if len(prompts) == 1:
        return prompts[0].hash
    return hashlib.sha256(" ".join(prompt.hash for prompt in prompts).encode()).hexdigest()[:16]


def read_prompt(path: Path, *, name: str) -> Prompt:
    """Raises InputError if missing or malformed."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"prompt '{name}': cannot read {path} ({error.strerror}); restore the file") from error
    matter, parts = _split(raw.decode("utf-8").replace("\r\n", "\n"), name=name)
    variables = frozenset(cast("list[str]", matter["variables"]))
    templates: list[tuple[str, jinja2.Template]] = []
    used: set[str] = set()
    for role, source in parts:
        try:
            used |= jinja2.meta.find_undeclared_variables(_ENVIRONMENT.parse(source))
            templates.append((role, _ENVIRONMENT.from_string(source)))
        except jinja2.TemplateSyntaxError as error:
            raise InputError(f"prompt '{name}': {error.message} (line {error.lineno} of its {role} part)") from error
    if used != variables:
        raise InputError(
            f"prompt '{name}': it declares the variables {sorted(variables)} but uses {sorted(used)}; make them equal"
        )
    return Prompt(
        name=name,
        version=cast("int", matter["version"]),
        variables=variables,
        reply=cast("str", matter["reply"]),
        hash=hashlib.sha256(raw).hexdigest()[:16],
        templates=tuple(templates),
        changes=frozenset(cast("list[str]", matter.get("changes", []))),
    )


def _split(text: str, *, name: str) -> tuple[dict[str, object], list[tuple[str, str]]]:
    """Front matter, and (role, source) of each message."""
    match = _FRONT_MATTER.match(text)
    if match is None:
        raise InputError(f"prompt '{name}': no front matter; begin the file with TOML between two +++ lines")
    try:
        matter = tomllib.loads(match[1])
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"prompt '{name}': front matter is not TOML ({error})") from error
    for key, kind in (("version", int), ("variables", list), ("reply", str)):
        if not isinstance(matter.get(key), kind):
            raise InputError(f"prompt '{name}': front matter needs '{key}' ({kind.__name__})")
    pieces = _ROLE_LINE.split(match[2])
    parts = list(zip(pieces[1::2], pieces[2::2], strict=True))
    if not parts or pieces[0].strip():
        raise InputError(f"prompt '{name}': text outside a message; put <!-- system --> or <!-- user --> before it")
    return matter, parts
