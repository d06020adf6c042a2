"""Refusals of a judge: in the first person, at the beginning of a reply or sentence, not quoted."""

from __future__ import annotations

import re

from autointerp.prompting.reasoning import blank_reasoning

__all__ = ["is_refusal"]

_N_READ = 400
"""Characters searched."""

_APOLOGY = (
    r"(?:(?:i[' \u2019]?a?m (?:very |so |really )?sorry|i apologi[sz]e|sorry|apologies|unfortunately)"
    r"[,.:;]? ?(?:but )?)"
)
_CANNOT = (
    r"i (?:can[' \u2019]?t|cannot|can not|won[' \u2019]?t|will not|must not|am unable to|[' \u2019]?m unable to"
    r"|am not able to|[' \u2019]?m not able to|do not feel comfortable|don[' \u2019]?t feel comfortable)"
)
_DO = (
    r"(?:help|helping|assist|assisting|comply|complying|answer(?:ing)?|do (?:that|this)|engage|engaging|continue"
    r"|continuing|fulfil+|discuss|discussing|process|analy[sz]e|participate|respond|proceed"
    r"|provide (?!an? (?:definit|exact|precise|certain|single|clear|specific))|create|generate|produce)"
)
_REFUSAL = re.compile(
    r"(?:\A|[.!?\n]\s{0,8})(?:"
    rf"{_APOLOGY}?(?:as an ai(?: [a-z]+){{0,3}},? )?{_CANNOT} {_DO}\b"
    r"|(?:i[' \u2019]?a?m|i am) sorry,? but\b(?! (?:there|no|the|none|it|this feature))"
    r"|i (?:must|have to|need to|will) (?:respectfully )?(?:decline|refuse)\b"
    r"|(?:this|your) (?:request|content|prompt) (?:violates|goes against)\b"
    r")",
    re.IGNORECASE,
)
_ABROAD = re.compile(
    r"\A\W{0,3}(?:"
    r"es tut mir leid, (?:aber )?(?:ich kann|das kann ich)|lo siento, (?:pero )?no puedo"
    r"|(?:je suis )?désolée?, (?:mais )?je ne peux pas|desculpe, (?:mas )?(?:eu )?não posso"
    r"|mi dispiace, (?:ma )?non posso|извините, (?:но )?я не могу"
    r"|(?:很)?抱歉[，,]?\s?(?:但)?(?:我)?(?:无法|不能)|对不起[，,]?\s?(?:但)?我(?:无法|不能)|我(?:无法|不能)(?:协助|帮助|提供|回答)"
    r"|申し訳(?:ありません|ございません)|죄송하지만"
    r")",
    re.IGNORECASE,
)
_QUOTED = re.compile(
    r"\"[^\"\n]{0,400}\"|\u201c[^\u201d\n]{0,400}\u201d|`[^`\n]{0,400}`"
    r"|(?<!\w)'(?:[^'\n]|(?<=\w)'(?=\w)){0,400}'(?!\w)"
)


def is_refusal(text: str) -> bool:
    """Whether the judge declines, in English or a common phrase of another language."""
    text = blank_reasoning(text).strip()[:_N_READ]
    text = _QUOTED.sub('""', text)
    return bool(_REFUSAL.search(text) or _ABROAD.match(text))
