"""Conversations as token ids. Special tokens spelled out in a text are read as plain text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from autointerp.errors import JudgeRejected
from autointerp.judges.in_process.labels import AnswerTemplate, answer_template

__all__ = ["ChatTokens", "Turn"]

Turn = tuple[str, str]
"""Role and text."""


class ChatTokens:
    """`template_variables` go to the chat template."""

    def __init__(self, tokenizer: Any, *, template_variables: Mapping[str, Any]) -> None:
        self._tokenizer, self._variables = tokenizer, dict(template_variables)
        self._special = [str(token) for token in tokenizer.added_tokens_decoder.values() if token.special]
        self._templates: dict[int | None, AnswerTemplate] = {}
        self._texts: dict[int, str] = {}
        self._anchor: list[int] | None = None

    @property
    def end_id(self) -> int | None:
        return self._tokenizer.eos_token_id

    def encode_prompt(self, turns: Sequence[Turn]) -> list[int]:
        """Never empty. Raises JudgeRejected where the chat template refuses."""
        # half a character, which JSON may spell, has no bytes
        turns = [(role, text.encode("utf-8", errors="replace").decode()) for role, text in turns]
        # without a template, each role and text on lines of their own
        if self._tokenizer.chat_template is None:
            text = "".join(f"{role}:\n{text}\n\n" for role, text in turns) + "assistant:\n"
            return self._tokenizer(text, split_special_tokens=True, verbose=False)["input_ids"]
        if not any(token in text for _, text in turns for token in self._special):
            return self.encode(self._render(turns))
        # the template's own special tokens count, those of the texts do not, so they are read apart
        stand_ins = [f"\ue000{number}\ue001" for number in range(len(turns))]
        rest = self._render([(role, stand_in) for (role, _), stand_in in zip(turns, stand_ins, strict=True)])
        ids: list[int] = []
        for (_, text), stand_in in zip(turns, stand_ins, strict=True):
            before, _, rest = rest.partition(stand_in)
            ids += self.encode(before) + self.encode(text, split_special_tokens=True)
        return ids + self.encode(rest)

    def encode_text(self, text: str) -> list[int]:
        """Tokens as at the beginning of a document, never empty."""
        text = text.encode("utf-8", errors="replace").decode()
        return self._tokenizer(text, split_special_tokens=True, verbose=False)["input_ids"] or [self.end_id or 0]

    def encode(self, text: str, **options: Any) -> list[int]:
        """Tokens without special tokens in front."""
        return self._tokenizer(text, add_special_tokens=False, verbose=False, **options)["input_ids"] if text else []

    def answer_template(self, n: int | None) -> AnswerTemplate:
        """As `labels.answer_template`. Raises JudgeRejected where labels are not single tokens."""
        if n not in self._templates:
            try:
                self._templates[n] = answer_template(self.encode, n)
            except ValueError as error:
                raise JudgeRejected(f"{error}; set judges.local.reply_format = 'none'") from None
        return self._templates[n]

    def decode(self, ids: Sequence[int]) -> str:
        return self._tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)

    def token_text(self, token: int) -> str:
        """Text after another token, which keeps sentencepiece's leading space."""
        if token not in self._texts:
            if self._anchor is None:
                self._anchor = self.encode("a")
            alone = self._tokenizer.decode(self._anchor, clean_up_tokenization_spaces=False)
            both = self._tokenizer.decode([*self._anchor, token], clean_up_tokenization_spaces=False)
            self._texts[token] = both.removeprefix(alone)
        return self._texts[token]

    def _render(self, turns: Sequence[Turn]) -> str:
        """Where the template has no system role, the system message joins the user's."""
        from jinja2.exceptions import TemplateError

        try:
            try:
                return self._apply(turns)
            except TemplateError:
                if len(turns) < 2 or turns[0][0] != "system":
                    raise
                (_, system), (role, first), *rest = turns
                return self._apply([(role, f"{system}\n\n{first}"), *rest])
        except TemplateError as error:
            raise JudgeRejected(f"the model's chat template refuses the conversation: {error}") from error

    def _apply(self, turns: Sequence[Turn]) -> str:
        conversation = [{"role": role, "content": text} for role, text in turns]
        return self._tokenizer.apply_chat_template(
            conversation, tokenize=False, add_generation_prompt=True, **self._variables
        )
