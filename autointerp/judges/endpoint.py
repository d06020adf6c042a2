"""Where an OpenAI-compatible endpoint is, what it may be sent and what it costs: the options of judge `openai`.

It reads the key from the environment variable that is named and keeps every message free of it.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from autointerp.errors import ConfigError
from autointerp.judges.options import Options

__all__ = ["OPENAI_URL", "OpenAIOptions", "is_on_this_machine", "read_key"]

OPENAI_URL = "https://api.openai.com/v1"

_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,63}")
_KEY_PREFIXES = ("sk-", "sk_", "gsk_", "xai-", "hf_", "AIza", "Bearer ")
_SECRET_FIELDS = ("key", "authorization", "token", "secret", "password")

Price = Annotated[float, Field(ge=0.0)]


class OpenAIOptions(Options):
    """`[judges.openai]`."""

    base_url: str = OPENAI_URL
    key_env: str = "OPENAI_API_KEY"
    """The NAME of the environment variable that holds the key; "" sends none."""
    timeout_s: Annotated[float, Field(gt=0.0)] | None = None
    """Time-out of one attempt, where it shall be shorter than limits.timeout_s."""
    max_concurrent: Annotated[int, Field(gt=0)] = 256
    token_limit_field: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"
    reply_format: Literal["json_schema", "json_object", "none"] = "none"
    omit_fields: tuple[Literal["temperature", "seed"], ...] = ()
    """Request fields that this endpoint does not accept."""
    top_logprobs: Annotated[int, Field(ge=0, le=20)] = 0
    """Alternatives per token to ask for where the scorer wants probabilities; 0 where the endpoint has none."""
    extra_body: dict[str, Any] = Field(default_factory=dict)
    """Further fields of the request body."""
    usd_per_million_input_tokens: Price | None = None
    usd_per_million_output_tokens: Price | None = None

    @field_validator("key_env")
    @classmethod
    def _check_key_env(cls, value: str) -> str:
        is_name = _VARIABLE.fullmatch(value) is not None or value in os.environ
        if value and (value.startswith(_KEY_PREFIXES) or not is_name):
            raise ValueError(
                "is no NAME of an environment variable (its value is not repeated here, it may be a key); "
                "export the key, e.g. as OPENAI_API_KEY, and give that name"
            )
        return value

    @field_validator("base_url")
    @classmethod
    def _check_base_url(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be an http:// or https:// address, such as http://localhost:8000/v1")
        if parts.username or parts.password or parts.query:
            raise ValueError("holds a user name, password or query; keys belong into the variable key_env names")
        return value.rstrip("/")

    @field_validator("extra_body")
    @classmethod
    def _check_extra_body(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name in value:
            if name.lower().replace("-", "_").rpartition("_")[2] in _SECRET_FIELDS:
                raise ValueError(f"field '{name}' looks like a secret; keys belong into the variable key_env names")
        return value

    def usd(self, *, input_tokens: int, output_tokens: int) -> float | None:
        """The price of a reply, None when no price is known. A server on this machine costs nothing."""
        prices = self.usd_per_million_input_tokens, self.usd_per_million_output_tokens
        if prices == (None, None):
            return 0.0 if is_on_this_machine(self.base_url) else None
        return (input_tokens * (prices[0] or 0.0) + output_tokens * (prices[1] or 0.0)) / 1e6


def is_on_this_machine(base_url: str) -> bool:
    """Whether an address is this machine's own: its servers need no key and cost nothing."""
    host = urlsplit(base_url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def read_key(options: OpenAIOptions, environment: Mapping[str, str] = os.environ) -> str | None:
    """The key, or None for an endpoint that needs none. Raises ConfigError when it is missing or malformed."""
    if not options.key_env:
        return None
    key = environment.get(options.key_env, "").strip()
    if not key:
        if is_on_this_machine(options.base_url):
            return None
        raise ConfigError(
            f"judges.openai.key_env = '{options.key_env}': this environment variable is not set; export the key for "
            f'{options.base_url} in it, or name another (key_env = "" for an endpoint that needs none)'
        )
    if not key.isascii() or not key.isprintable():
        raise ConfigError(f"environment variable {options.key_env} holds no usable key (line breaks or non-ASCII)")
    return key
