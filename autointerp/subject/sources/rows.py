"""What a row of a corpus holds: a text, a conversation, or the ids of a text that was tokenised before.

A row is a string, a list of messages or ids, or an object with a field of any of these.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from autointerp.errors import InputError
from autointerp.subject.sources.text import mend_surrogates

__all__ = ["Content", "content_of_row", "content_of_value", "field_of"]

DEFAULT_FIELD = "text"
OTHER_FIELDS = ("messages", "input_ids")
"""Read where `corpus.text_field` is left at `text` and there is no such field."""


class Content(NamedTuple):
    """The text, messages and token ids of a `records.document.Document`."""

    text: str
    messages: tuple[Mapping[str, Any], ...] = ()
    token_ids: tuple[int, ...] = ()


def field_of(names: Collection[str], *, place: str, text_field: str) -> str:
    """The field that is read, of those present. Raises InputError where there is none."""
    wanted = (text_field, *OTHER_FIELDS) if text_field == DEFAULT_FIELD else (text_field,)
    found = next((name for name in wanted if name in names), None)
    if found is None:
        fields = ", ".join(f"'{name}'" for name in names) or "none"
        raise InputError(f"corpus.text_field = '{text_field}' is not in {place}; its fields: {fields}")
    return found


def content_of_row(row: Any, *, place: str, text_field: str) -> Content:
    """What one row holds, itself or in its field."""
    if isinstance(row, dict):
        field = field_of(row, place=place, text_field=text_field)
        return content_of_value(row[field], place=place, field=field)
    return content_of_value(row, place=place, field=text_field)


def content_of_value(value: Any, *, place: str, field: str) -> Content:
    """What a row's field holds; null is an empty text."""
    if value is None or value == []:
        return Content("")
    if isinstance(value, str):
        return Content(mend_surrogates(value))
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        messages = tuple(_message(item, place=place) for item in value)
        return Content("\n".join(f"{m['role']}: {_text_of(m['content'], place=place)}" for m in messages), messages)
    if isinstance(value, list) and all(type(item) is int and item >= 0 for item in value):
        return Content("", token_ids=tuple(value))
    raise InputError(
        f"corpus.text_field = '{field}': {place} holds {type(value).__name__}, not text; name a field of text, of "
        "messages (objects with role and content) or of token ids"
    )


def _message(item: dict[str, Any], *, place: str) -> dict[str, Any]:
    """A message without its empty fields, which tables fill up with null; half characters mended."""
    if not isinstance(item.get("role"), str):
        raise InputError(f"corpus.path: {place} holds a message without a role; give objects with role and content")
    message = {key: value for key, value in item.items() if value is not None} | {"content": item.get("content") or ""}
    mended = {key: mend_surrogates(value) for key, value in message.items() if isinstance(value, str)}
    _text_of(message["content"], place=place)
    return message | mended


def _text_of(content: Any, *, place: str) -> str:
    """A message's text, which may be given in parts."""
    parts = content if isinstance(content, list) else [content]
    texts: list[Any] = [part.get("text") if isinstance(part, dict) else part for part in parts]
    if not all(isinstance(text, str) for text in texts):
        raise InputError(f"corpus.path: {place} holds a message that is not all text; leave images and sounds out")
    return mend_surrogates("".join(texts))
