"""Judge `keyword`: no language model; a text fires when a word quoted in the explanation occurs in it.

It answers from the typed task, so it need not read prose. A judge that asks a service would put `request.messages` to
it instead, and raise JudgeRetry, JudgeRejected or JudgeStopped when that fails.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from autointerp.errors import ConfigError
from autointerp.judges.judge import Capabilities, Reply, Request
from autointerp.judges.options import Options, read_options
from autointerp.judges.tasks import ExplainTask, Passage

QUOTED = re.compile(r'"([^"]+)"')


class KeywordOptions(Options):
    ignore_case: bool = False
    """Whether `Cat` is found where the explanation quotes "cat"."""


class KeywordJudge:
    """`variant` belongs to the key under which replies are kept, so every option that changes them must be in it."""

    def __init__(self, *, ignore_case: bool) -> None:
        self._ignore_case = ignore_case
        self.capabilities = Capabilities(
            endpoint="keyword",
            model="keyword-1",
            is_local=True,
            uses_task=True,
            is_deterministic=True,
            variant=f"ignore_case={ignore_case}",
        )

    async def ask(self, request: Request) -> Reply:
        task = request.task
        if isinstance(task, ExplainTask):
            return Reply(text=self._explain(task), model="keyword-1")
        words = QUOTED.findall(task.explanation)
        answers = [int(any(self._occurs(word, passage) for word in words)) for passage in task.passages]
        return Reply(text=json.dumps(answers), model="keyword-1")

    async def aclose(self) -> None:
        """Nothing to release."""

    def _explain(self, task: ExplainTask) -> str:
        firing: Counter[str] = Counter()
        for window in task.windows:
            firing.update({t: a for t, a in zip(window.tokens, window.activations, strict=True) if a > 0 and t.strip()})
        return "[EXPLANATION]: fires on " + ", ".join(f'"{token.strip()}"' for token, _ in firing.most_common(3))

    def _occurs(self, word: str, passage: Passage) -> bool:
        text = passage.text if passage.mark is None else passage.text[slice(*passage.mark)]
        return word.lower() in text.lower() if self._ignore_case else word in text


def open_judge(model: str | None, options: Mapping[str, Any]) -> KeywordJudge:
    """The factory: `model` is what follows the colon in `keyword:MODEL`, `options` the table [judges.keyword]."""
    if model:
        raise ConfigError(f"judge 'keyword:{model}': judge 'keyword' has no models; name it alone")
    return KeywordJudge(ignore_case=read_options("keyword", KeywordOptions, options).ignore_case)
