"""Judge `local`: a transformers model in this process; nothing is downloaded.

Scoring tasks are forced choices: the judge writes `{"answers": [...]}`, the model only chooses 0 or 1 at each place. An
explanation's last line is begun for the model where it does not begin it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Annotated, Any, Literal

from pydantic import Field

from autointerp.errors import ConfigError, JudgeError, JudgeRejected, JudgeStopped
from autointerp.judges.in_process.batching import Batcher, Waiting
from autointerp.judges.in_process.labels import AnswerTemplate, by_text, is_answer_schema, is_label_schema
from autointerp.judges.in_process.local_model import Choice, Draw, LocalModel, logistic
from autointerp.judges.in_process.prefixes import plan_batches
from autointerp.judges.in_process.writing import Ending, Writing
from autointerp.judges.judge import Capabilities, Reply, Request, Usage
from autointerp.judges.options import Options, read_options
from autointerp.judges.tasks import (
    EXPLANATION,
    ExplainTask,
    GroupTask,
    IntruderTask,
    LikelihoodTask,
    PickEffectTask,
    ScoreTask,
)
from autointerp.seeds import stream

__all__ = ["LocalJudge", "LocalOptions", "open_judge"]

_QUIET_S = 0.01
_LEAST_LARGE = 10**9
"""Parameters of a model that is asked as large ones are."""
_LONGEST_LINE = 120
"""Tokens of an explanation, which prompts limit to three sentences."""
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)")
_BATCHES_GATHERED = 8
"""Planned together, so that a batch holds rows that begin alike."""


class LocalOptions(Options):
    """`[judges.local]`."""

    device: str = "auto"
    """`auto` is CUDA where there is one, else the CPU."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """`auto` is bfloat16 where the processor multiplies it in hardware; else float32 on a CPU, the checkpoint's own on
    a GPU.
    """
    revision: str | None = None
    """Branch, tag or commit of a model in the hub's cache."""
    batch_size: Annotated[int, Field(gt=0)] = 8
    """Requests per forward pass, which share the reading of what they begin with. With 1 each is read alone and a CPU's
    replies are reproducible; otherwise rounding changes a probability by less than 1e-4 (float32).
    """
    reply_format: Literal["labels", "none"] = "labels"
    """`labels`: scoring tasks are answered by choosing between 0 and 1, and explanations end in a line that begins with
    [EXPLANATION]:, put there where the model does not write it. `none`: the model writes freely.
    """
    style: Literal["auto", "one_window", "list"] = "auto"
    """`one_window`: scorers ask about one window at a time, in few words, and explanations are written at once. `list`:
    windows are asked about together, and the model may think before it explains. `auto` is `one_window` for a model of
    fewer than 10^9 parameters.
    """
    threshold: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.5
    """Probability from which on a window is called firing; stated probabilities are shifted so that it becomes 0.5.
    `autointerp judges audition` measures the best one.
    """
    top_logprobs: Annotated[int, Field(ge=1, le=100)] = 10
    """Alternatives per token where the scorer wants log-probabilities of free text."""
    chat_template_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Variables of the model's chat template, such as `enable_thinking = false`."""


class LocalJudge:
    """One model in this process; its weights are read with the first question."""

    def __init__(self, model: str, *, options: LocalOptions) -> None:
        """Raises ConfigError for a model not on this machine, PluginError without torch."""
        self._options = options
        self.model = LocalModel(
            model,
            device=options.device,
            dtype=options.dtype,
            revision=options.revision,
            template_variables=options.chat_template_kwargs,
            shares_prefixes=options.batch_size > 1,
        )
        n_gathered = options.batch_size * _BATCHES_GATHERED if options.batch_size > 1 else 1
        self.doing = ""
        """What it is at, for whoever shows progress."""
        self._batcher = Batcher[Request, Reply](self._answer, size=n_gathered, quiet_s=_QUIET_S, name="local")
        self._capabilities = Capabilities(
            endpoint="local",
            model=model,
            is_local=True,
            has_logprobs=True,
            has_schema=options.reply_format == "labels",
            max_concurrent=n_gathered,
            variant=_variant(options, dtype=self.model.dtype),
            is_batching=True,
            is_deterministic=options.batch_size == 1 and self.model.device.type == "cpu",
            has_likelihoods=True,
            is_small=options.reply_format == "labels" and self._is_small(),
        )

    def _is_small(self) -> bool:
        style, n = self._options.style, self.model.n_parameters
        return style == "one_window" or (style == "auto" and n is not None and n < _LEAST_LARGE)

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    async def ask(self, request: Request) -> Reply:
        """Raises JudgeRejected for a long prompt or an unsupported schema, JudgeStopped where the weights fail."""
        return await self._batcher.ask(request)

    async def aclose(self) -> None:
        await self._batcher.aclose(self.model.close)

    def _answer(self, batch: Sequence[Waiting[Request]]) -> Iterator[tuple[int, Reply | Exception]]:
        """One reply or error per question, as they come; runs in the engine's thread."""
        self.doing = "reads the weights"
        self.model.load()
        prompts: dict[int, list[int]] = {}
        for index, waiting in enumerate(batch):
            try:
                if isinstance(waiting.question.task, LikelihoodTask):
                    yield index, self._weigh(waiting)
                elif self._is_choice(waiting.question):
                    yield index, self._name_number(waiting)
                else:
                    prompts[index] = self._prompt(waiting.question)
            except JudgeError as error:
                yield index, error
        groups: dict[AnswerTemplate | None, list[int]] = {}
        for index in prompts:
            groups.setdefault(self.template(batch[index].question), []).append(index)
        for group in groups.values():
            for part in plan_batches([prompts[index] for index in group], self._options.batch_size):
                yield from self._answer_rows({group[k]: batch[group[k]] for k in part}, prompts).items()

    def _weigh(self, waiting: Waiting[Request]) -> Reply:
        """Log-likelihood gain of each text, first message over second, in nats per token.

        Raises JudgeRejected for a long text, JudgeStopped where the model fails.
        """
        rows = self._likelihood_rows(waiting.question)
        logprobs, n = self._log_likelihoods(rows, waiting), len(rows) // 2
        gains = [(logprobs[i] - logprobs[n + i]) / len(rows[i][1]) for i in range(n)]
        return Reply(
            text=json.dumps([round(gain, 9) for gain in gains]),
            model=self.model.name,
            usage=Usage(input_tokens=sum(len(before) + len(text) for before, text in rows)),
            probabilities=tuple(logistic(gain) for gain in gains),
        )

    def _name_number(self, waiting: Waiting[Request]) -> Reply:
        """The likeliest reply `{"answer": k}`. Raises as `_weigh`."""
        request, task = waiting.question, waiting.question.task
        assert isinstance(task, IntruderTask | PickEffectTask)
        tokens = self.model.tokens
        prompt = tokens.encode_prompt([(message.role, message.content) for message in request.messages])
        n = len(task.passages) if isinstance(task, IntruderTask) else len(task.effects)
        # a number may be several tokens: replies are compared by the sum over theirs
        texts = [json.dumps({"answer": number}) for number in range(1, n + 1)]
        rows = [(prompt or [tokens.end_id or 0], tokens.encode(text)) for text in texts]
        self._check_length(rows, "the prompt and its reply")
        logprobs = self._log_likelihoods(rows, waiting)
        if request.temperature == 0.0:
            chosen = logprobs.index(max(logprobs))
        else:
            masses = [math.exp((p - max(logprobs)) / request.temperature) for p in logprobs]
            target = stream(request.seed or 0, "local", request.sample).random() * sum(masses)
            chosen = min(sum(edge <= target for edge in accumulate(masses)), n - 1)
        usage = Usage(input_tokens=len(prompt), output_tokens=len(rows[chosen][1]))
        return Reply(text=texts[chosen], model=self.model.name, usage=usage)

    def _log_likelihoods(self, rows: Sequence[tuple[list[int], list[int]]], waiting: Waiting[Request]) -> list[float]:
        """Log-probability of each row's second part."""
        logprobs = [0.0] * len(rows)
        try:
            for part in plan_batches([before for before, _ in rows], self._options.batch_size):
                if waiting.is_abandoned or self._batcher.is_closed:
                    raise JudgeStopped("judge 'local' was closed")
                for index, logprob in zip(part, self.model.log_likelihoods([rows[i] for i in part]), strict=True):
                    logprobs[index] = logprob
        except self.model.out_of_memory:
            raise JudgeRejected("the GPU's memory does not suffice; lower judges.local.batch_size") from None
        except (RuntimeError, IndexError) as error:
            raise JudgeStopped(f"judge local:{self.model.name} failed: {str(error).splitlines()[0]}") from error
        return logprobs

    def _check_length(self, rows: Sequence[tuple[list[int], list[int]]], what: str) -> None:
        longest, n_context = max(len(before) + len(text) for before, text in rows), self.model.n_context
        if n_context is not None and longest > n_context:
            raise JudgeRejected(
                f"{what}, {longest} tokens together, do not fit the context of {n_context} of {self.model.name}; "
                "ask about shorter windows"
            )

    def _likelihood_rows(self, request: Request) -> list[tuple[list[int], list[int]]]:
        """Every text after the first message, then every text after the second."""
        assert isinstance(request.task, LikelihoodTask)
        tokens = self.model.tokens
        # a special token spelled out in a window is plain text
        texts = [tokens.encode(passage.text, split_special_tokens=True) for passage in request.task.passages]
        texts = [text or [tokens.end_id or 0] for text in texts]
        rows = [
            (tokens.encode_text(message.content + "\n"), text) for message in request.messages[:2] for text in texts
        ]
        self._check_length(rows, "an explanation and a window")
        return rows

    def _prompt(self, request: Request) -> list[int]:
        """Raises JudgeRejected without room for a reply or for an unsupported schema."""
        schema = request.reply_schema
        template = self.template(request)
        if schema is not None and self._options.reply_format == "labels" and template is None:
            raise JudgeRejected(
                "judge 'local' keeps no JSON schema but that of an answer or a list of them; "
                "set judges.local.reply_format = 'none' to let the model write freely"
            )
        prompt = self.model.tokens.encode_prompt([(message.role, message.content) for message in request.messages])
        n_reply = 1 if template is None else len(template.ids)
        n_context = self.model.n_context
        if n_context is not None and len(prompt) + n_reply > n_context:
            raise JudgeRejected(
                f"the prompt's {len(prompt)} tokens and {n_reply} of the reply do not fit the context of "
                f"{n_context} of {self.model.name}; ask about fewer or shorter windows"
            )
        # a model needs a token to begin with
        return prompt or [self.model.tokens.end_id or 0]

    def template(self, request: Request) -> AnswerTemplate | None:
        """Template of forced answers; None for free text. Raises JudgeRejected as `ChatTokens.answer_template`."""
        task, schema, tokens = request.task, request.reply_schema, self.model.tokens
        if self._options.reply_format != "labels" or not isinstance(task, ScoreTask | GroupTask) or schema is None:
            return None
        if is_label_schema(schema) and len(task.passages) == 1:
            return tokens.answer_template(None)
        return tokens.answer_template(len(task.passages)) if task.passages and is_answer_schema(schema) else None

    def _is_choice(self, request: Request) -> bool:
        is_forced = self._options.reply_format == "labels" and request.reply_schema is not None
        return is_forced and isinstance(request.task, IntruderTask | PickEffectTask)

    def _answer_rows(self, rows: Mapping[int, Waiting[Request]], prompts: Mapping[int, list[int]]) -> dict[int, Any]:
        """Replies to rows with equally many answers."""
        wanted = {i: waiting for i, waiting in rows.items() if not waiting.is_abandoned}
        stopped = JudgeStopped("judge 'local' was closed")
        if not wanted or self._batcher.is_closed:
            return dict.fromkeys(rows, stopped)
        try:
            replies = self._reply_rows(list(wanted.values()), [prompts[i] for i in wanted])
            return dict.fromkeys(rows, stopped) | dict(zip(wanted, replies, strict=True))
        except self.model.out_of_memory:
            self.model.forget()
            # half the rows at a time, until they fit
            if len(wanted) > 1:
                order = list(wanted)
                halves = order[: len(order) // 2], order[len(order) // 2 :]
                return {
                    k: v for half in halves for k, v in self._answer_rows({i: rows[i] for i in half}, prompts).items()
                }
            error = JudgeRejected(f"the GPU's memory does not suffice for {len(prompts[next(iter(wanted))])} tokens")
            return dict.fromkeys(rows, error)
        except (RuntimeError, IndexError) as error:
            raise JudgeStopped(f"judge local:{self.model.name} failed: {str(error).splitlines()[0]}") from error

    def _reply_rows(self, rows: Sequence[Waiting[Request]], prompts: Sequence[list[int]]) -> list[Reply]:
        requests = [waiting.question for waiting in rows]
        # random numbers that depend on the request's seed and sample alone: no neighbour has a say in them
        draws = [Draw(r.temperature, stream(r.seed or 0, "local", r.sample).random) for r in requests]
        template = self.template(requests[0])
        self.doing = f"reads {len(rows)} prompts of up to {max(map(len, prompts)):,} tokens"
        if template is not None:
            chosen = self.model.choose(prompts, template, draws, threshold=self._options.threshold)
            return [self._forced(r, p, c, template) for r, p, c in zip(requests, prompts, chosen, strict=True)]
        n_context = self.model.n_context or 10**9
        limits = [min(r.max_tokens, n_context - len(p)) for r, p in zip(requests, prompts, strict=True)]

        def is_over(index: int, n_tokens: int) -> bool:
            self.doing = f"writes {len(rows)} replies, {n_tokens:,} of {max(limits):,} tokens at most"
            return rows[index].is_abandoned or self._batcher.is_closed

        written = self.model.generate(
            prompts,
            limits,
            draws,
            n_alternatives=self._options.top_logprobs if any(r.want_logprobs for r in requests) else 0,
            is_over=is_over,
            endings=[self._ending(r, n) for r, n in zip(requests, limits, strict=True)],
        )
        return [self._free(r, p, w) for r, p, w in zip(requests, prompts, written, strict=True)]

    def _ending(self, request: Request, max_tokens: int) -> Ending | None:
        """The line with which an explainer's reply ends."""
        if self._options.reply_format != "labels" or not isinstance(request.task, ExplainTask):
            return None
        n_line = min(_LONGEST_LINE, max_tokens)
        n_tag = len(self._spell_tag("a"))
        # a small model's thoughts are not worth their time
        n_free = 0 if self._capabilities.is_small else max_tokens - n_line - n_tag
        return Ending(EXPLANATION, self._spell_tag, n_free=n_free, n_line=n_line)

    def _spell_tag(self, text: str) -> list[int]:
        # thoughts that are not closed would swallow the line
        opened = "</think>\n" if text.rfind("<think>") > text.rfind("</think>") else ""
        return self.model.tokens.encode(opened + ("\n" if text else "") + EXPLANATION)

    def _forced(
        self, request: Request, prompt: Sequence[int], choices: Sequence[Choice], template: AnswerTemplate
    ) -> Reply:
        """The forced reply, cut off at the request's token limit."""
        ids = template.fill([choice.answer for choice in choices])
        usage = Usage(input_tokens=len(prompt), output_tokens=min(len(ids), request.max_tokens))
        if len(ids) > request.max_tokens:
            cut = self.model.tokens.decode(ids[: request.max_tokens])
            return Reply(cut, self.model.name, finish="length", usage=usage)
        logprobs = None
        if request.want_logprobs:
            at = dict(zip(template.positions, zip(template.labels, choices, strict=True), strict=True))
            text = self.model.tokens.token_text
            logprobs = tuple(
                (text(token), {text(t): p for t, p in zip(at[i][0], at[i][1].logprobs, strict=True)} if i in at else {})
                for i, token in enumerate(ids)
            )
        return Reply(
            text=template.spell([choice.answer for choice in choices]),
            model=self.model.name,
            usage=usage,
            token_logprobs=logprobs,
            probabilities=tuple(choice.probability for choice in choices),
        )

    def _free(self, request: Request, prompt: Sequence[int], written: Writing) -> Reply:
        text, logprobs = self.model.tokens.token_text, None
        if request.want_logprobs:
            pairs = zip(written.ids, written.logprobs, strict=True)
            logprobs = tuple((text(token), by_text((text(t), p) for t, p in seen.items())) for token, seen in pairs)
        reply = self.model.tokens.decode(written.ids)
        line = written.line or ""
        is_cut = written.finish == "length" and line.strip() != ""
        return Reply(
            text=_whole_sentences(reply, line) if is_cut else reply,
            model=self.model.name,
            finish="stop" if is_cut else written.finish or "length",
            usage=Usage(input_tokens=len(prompt), output_tokens=written.n_tokens),
            token_logprobs=logprobs,
        )


def _whole_sentences(reply: str, line: str) -> str:
    """A reply that was cut off in its last line, up to the last whole sentence where there is one."""
    ends = [match.end() for match in _SENTENCE_END.finditer(line)]
    return reply.removesuffix(line[ends[-1] :]) if ends else reply


def _variant(options: LocalOptions, *, dtype: str) -> str:
    """Options that change replies, as canonical text."""
    changed = options.model_dump(exclude={"device", "batch_size", "dtype"}, exclude_defaults=True, mode="json")
    return json.dumps({"dtype": dtype} | changed, sort_keys=True)


def open_judge(model: str | None, options: Mapping[str, Any]) -> LocalJudge:
    """Raises ConfigError for a missing model or a wrong option."""
    checked = read_options("local", LocalOptions, options)
    if model is None:
        raise ConfigError(
            "judge 'local' needs a model: write local:DIRECTORY, local:FILE.gguf, or local:NAME of one that was fetched"
        )
    return LocalJudge(model, options=checked)
