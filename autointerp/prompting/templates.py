"""Prompts as versioned files.

TOML front matter between two `+++` lines (`version`, `variables`, `reply`), then jinja2 templates of messages, each
after `<!-- system -->`, `<!-- user -->` or `<!-- assistant -->`. The file's hash is stored with every answer.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, cast

import jinja2
import jinja2.meta

from autointerp.errors import InputError
from autointerp.judges.judge import Message
from autointerp.resources import resource

__all__ = ["Prompt", "joint_hash", "load_prompt", "read_prompt"]

_FRONT_MATTER = re.compile(r"\A\+\+\+\n(.*?)^\+\+\+\n(.*)\Z", re.DOTALL | re.MULTILINE)
_ROLE_LINE = re.compile(r"^<!-- (system|user|assistant) -->\n", re.MULTILINE)
_ENVIRONMENT = jinja2.Environment(
    undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False, keep_trailing_newline=True
)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt file; `hash` is of its bytes."""

    name: str
    version: int
    variables: frozenset[str]
    reply: str
    hash: str
    templates: tuple[tuple[str, jinja2.Template], ...]

    def render(self, **values: object) -> tuple[Message, ...]:
        """Raises ValueError for missing or undeclared variables."""
        missing, extra = sorted(self.variables - values.keys()), sorted(values.keys() - self.variables)
        if missing or extra:
            parts = [f"missing {', '.join(missing)}"] if missing else []
            parts += [f"unknown {', '.join(extra)}"] if extra else []
            takes = ", ".join(sorted(self.variables))
            raise ValueError(f"prompt '{self.name}': variables {' and '.join(parts)}; it takes {takes}")
        return tuple(
            Message(role=cast("Literal['system', 'user', 'assistant']", role), content=template.render(values).strip())
            for role, template in self.templates
        )


@cache
def load_prompt(name: str) -> Prompt:
    """Shipped prompt, such as `score/detection`. Raises InputError if missing or malformed."""
    return read_prompt(resource(f"prompts/{name}.md"), name=name)


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
