"""Keys from environment variables or private files; no message contains a key."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from autointerp.errors import ConfigError
from autointerp.safe_text import remember_key, safe_line

__all__ = ["key_from_environment", "key_from_file", "server_words"]

_LONGEST_KEY_BYTES = 16_384
_LONGEST_WORDS = 300


def key_from_environment(
    name: str, *, address: str, is_needed: bool, environment: Mapping[str, str] = os.environ
) -> str | None:
    """Raises ConfigError for a malformed key, or a missing one though `is_needed`."""
    key = environment.get(name, "").strip()
    if key:
        return _checked(key, f"environment variable {name}")
    if not is_needed:
        return None
    raise ConfigError(
        f"judges.openai.key_env = '{name}': this environment variable is not set; export the key for {address} in it, "
        'or name another (key_env = "" for an endpoint that needs none)'
    )


def key_from_file(path: Path) -> str:
    """Raises ConfigError for a key that is unusable or readable by others.

    A link must belong to the user or root, or others could point it at another secret.
    """
    option = f"judges.openai.key_file = '{path}'"
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            status, link = os.fstat(file.fileno()), path.lstat()
            _refuse_open_file(option, status, link)
            content = file.read(_LONGEST_KEY_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{option} cannot be read: {error.strerror}") from None
    try:
        key = content.decode("ascii").strip()
    except UnicodeDecodeError:
        key = ""
    if not key or len(content) > _LONGEST_KEY_BYTES:
        raise ConfigError(f"{option} holds no usable key; put the key into it, alone on one line")
    return _checked(key, option)


def server_words(text: str, *, key: str | None) -> str:
    """A server's message on one short line, without the key."""
    words = safe_line(" ".join((text if key is None else text.replace(key, "***")).split()))
    return words if len(words) <= _LONGEST_WORDS else words[:_LONGEST_WORDS] + "..."


def _open_at_once(path: str, flags: int) -> int:
    # O_NONBLOCK: a pipe without writer would block
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _refuse_open_file(option: str, status: os.stat_result, link: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ConfigError(f"{option} is no regular file; put the key into one")
    if os.name != "posix":
        return
    own = {os.geteuid(), 0}
    if status.st_uid not in own or link.st_uid not in own:
        raise ConfigError(f"{option} belongs to another user; keep the key in a file of your own")
    if status.st_mode & 0o077:
        mode = stat.S_IMODE(status.st_mode)
        raise ConfigError(f"{option} has mode {mode:03o}, so others can read the key; run chmod 600 on it")


def _checked(key: str, where: str) -> str:
    if not key.isascii() or not key.isprintable():
        raise ConfigError(f"{where} holds no usable key (line breaks or non-ASCII)")
    remember_key(key)
    return key
