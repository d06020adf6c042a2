"""A causal language model of transformers: token ids in, tokens and probabilities out."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from autointerp.distribution import how_to_install
from autointerp.errors import PluginError
from autointerp.judges.in_process.chat_tokens import ChatTokens
from autointerp.judges.in_process.labels import AnswerTemplate
from autointerp.judges.in_process.local_files import ModelFiles, pick_device, pick_dtype
from autointerp.judges.in_process.prefixes import Prefixes
from autointerp.judges.in_process.writing import Ending, Writing

if TYPE_CHECKING:
    import torch

__all__ = ["Choice", "Draw", "LocalModel", "logistic"]


@dataclass(frozen=True, slots=True)
class Draw:
    """Sampling of a row; `uniform` gives numbers in [0, 1)."""

    temperature: float
    uniform: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Choice:
    """Label chosen, its probability of being 1 by softmax over the two labels, and their log-probabilities among all
    tokens.
    """

    answer: int
    probability: float
    logprobs: tuple[float, float]


class LocalModel:
    """Model and tokenizer; the weights are read by `load`."""

    def __init__(
        self,
        name: str,
        *,
        device: str,
        dtype: str,
        revision: str | None,
        template_variables: Mapping[str, Any],
        shares_prefixes: bool = True,
    ) -> None:
        """`shares_prefixes`: what prompts begin with is read once, which rounds differently from call to call.

        Raises ConfigError for a model not on this machine, PluginError where packages are missing."""
        try:
            import torch
            import transformers
        except ModuleNotFoundError as error:
            raise PluginError(
                f"judge 'local' needs the package '{error.name}'; install the tensor half: {how_to_install('models')}"
            ) from None
        self._torch, self.name, self.shares_prefixes = torch, name, shares_prefixes
        self._files = ModelFiles(transformers, name, revision=revision)
        self.device = pick_device(torch, device)
        self.dtype = pick_dtype(torch, self.device) if dtype == "auto" else dtype
        config, tokenizer = self._files.read_tokenizer()
        self.n_parameters = self._files.count_parameters(torch, config)
        self.tokens = ChatTokens(tokenizer, template_variables=template_variables)
        self.n_context: int | None = getattr(config.get_text_config(), "max_position_embeddings", None)
        self._model: Any = None
        self._prefixes = Prefixes(self._read_row)
        self._end_ids: frozenset[int | None] = frozenset()
        self._accepted: frozenset[str] = frozenset()

    @property
    def out_of_memory(self) -> type[Exception]:
        return self._torch.OutOfMemoryError

    def load(self) -> None:
        """Read the weights once. Raises JudgeStopped where they cannot be used."""
        if self._model is not None:
            return
        dtype = self.dtype if self.dtype == "auto" else getattr(self._torch, self.dtype)
        self._model = self._files.read_weights(dtype=dtype, device=self.device)
        ends = self._model.generation_config.eos_token_id
        self._end_ids = frozenset([self.tokens.end_id, *(ends if isinstance(ends, list) else [ends])])
        # not every architecture takes position_ids or logits_to_keep
        self._accepted = frozenset(inspect.signature(self._model.forward).parameters)

    def close(self) -> None:
        """Free the weights."""
        self._model = None
        self.forget()

    def forget(self) -> None:
        """Free the caches of what prompts begin with."""
        self._prefixes.clear()
        if self.device.type == "cuda":
            self._torch.cuda.empty_cache()

    def choose(
        self, prompts: Sequence[list[int]], template: AnswerTemplate, draws: Sequence[Draw], *, threshold: float = 0.5
    ) -> list[list[Choice]]:
        """Labels in the template after each prompt; ties at temperature 0 give 0. A 1 of probability `threshold` is
        taken to have 0.5.
        """
        shift = math.log(threshold / (1.0 - threshold))
        state = _State(self, [[*prompt, *template.ids[: template.positions[0]]] for prompt in prompts])
        choices: list[list[Choice]] = [[] for _ in prompts]
        for index, (position, labels) in enumerate(zip(template.positions, template.labels, strict=True)):
            if index:
                # the model reads its own answers so far
                between = template.ids[template.positions[index - 1] + 1 : position]
                before = template.labels[index - 1]
                state.feed([[before[row[-1].answer], *between] for row in choices])
            logprobs = state.logprobs()[:, list(labels)].tolist()
            for row, (of_0, of_1), draw in zip(choices, logprobs, draws, strict=True):
                logit = of_1 - of_0 - shift
                row.append(Choice(_choose(logit, draw), logistic(logit), (of_0, of_1)))
        return choices

    def generate(
        self,
        prompts: Sequence[list[int]],
        max_tokens: Sequence[int],
        draws: Sequence[Draw],
        *,
        n_alternatives: int,
        is_over: Callable[[int, int], bool],
        endings: Sequence[Ending | None],
    ) -> list[Writing]:
        """Write after each prompt until the end token, the end of the last line or the row's limit.

        `is_over(row, n_tokens)`, called after every token, ends rows nobody waits for.
        """
        rows = [Writing(self.tokens, self._end_ids, *row) for row in zip(max_tokens, endings, strict=True)]
        state = _State(self, prompts)
        while True:
            logprobs = state.logprobs()
            chosen = [0] * len(rows)
            for index, row in enumerate(rows):
                if row.finish is None:
                    chosen[index] = row.extend(partial(self._pick, logprobs[index], draws[index], n_alternatives))
                    if row.finish is None and is_over(index, row.n_tokens):
                        row.finish = "length"
            if all(row.finish is not None for row in rows):
                return rows
            state.feed([[token] for token in chosen])

    def log_likelihoods(self, rows: Sequence[tuple[list[int], list[int]]]) -> list[float]:
        """Sum of log-probabilities in nats of each row's second part; neither part may be empty."""
        n_kept = max(len(text) for _, text in rows) + 1
        n_shared, cache = self.find_prefix([before for before, _ in rows])
        # padded on the left: all texts end in one place, where one slice holds them
        batch = _Padded(self, [[*before, *text] for before, text in rows], n_shared)
        logits, _ = self.forward(batch.ids, batch.mask, batch.positions, cache, n_kept=n_kept)
        logprobs = self._torch.log_softmax(logits[:, :-1], dim=-1)
        said = logprobs.gather(2, batch.ids[:, 1 - n_kept :, None])[..., 0].cpu()
        return [float(row[-len(text) :].sum()) for row, (_, text) in zip(said, rows, strict=True)]

    def forward(self, ids: Any, mask: Any, positions: Any, cache: Any, *, n_kept: int = 1) -> tuple[Any, Any]:
        """Logits after the last `n_kept` tokens, [rows, n_kept, vocab] float32, and the cache."""
        more: dict[str, Any] = {}
        if "position_ids" in self._accepted:
            more["position_ids"] = positions
        if "logits_to_keep" in self._accepted:  # the logits of a whole batch of prompts are gigabytes
            more["logits_to_keep"] = n_kept
        with self._torch.inference_mode():
            out = self._model(input_ids=ids, attention_mask=mask, past_key_values=cache, use_cache=True, **more)
            return out.logits[:, -n_kept:].float(), out.past_key_values

    def find_prefix(self, rows: Sequence[list[int]]) -> tuple[int, Any]:
        """Number of tokens not to be read again, and their cache (`Prefixes.find`)."""
        return self._prefixes.find(rows) if self.shares_prefixes else (0, None)

    def _read_row(self, ids: list[int], n_before: int, cache: Any) -> Any:
        n = n_before + len(ids)
        return self.forward(self.tensor([ids]), self.tensor([[1] * n]), self.tensor([range(n_before, n)]), cache)[1]

    def tensor(self, rows: Sequence[Sequence[int]]) -> Any:
        """Integer rows as a tensor on the model's device."""
        return self._torch.tensor([list(row) for row in rows], dtype=self._torch.long, device=self.device)

    def join(self, left: Any, right: Any) -> Any:
        return self._torch.cat([left, right], dim=1)

    def _pick(
        self, logprobs: torch.Tensor, draw: Draw, n_alternatives: int, is_refused: Callable[[int], bool]
    ) -> tuple[int, dict[int, float]]:
        """A token and, if `n_alternatives`, the log-probabilities of the likeliest and itself."""
        left = logprobs
        while is_refused(token := self._draw(left, draw)):
            left = left.index_fill(0, self._torch.tensor([token]), -math.inf)
        if not n_alternatives:
            return token, {}
        top = logprobs.topk(min(n_alternatives, logprobs.shape[0]))
        likeliest = dict(zip(top.indices.tolist(), top.values.tolist(), strict=True))
        return token, {token: float(logprobs[token])} | likeliest

    def _draw(self, logprobs: torch.Tensor, draw: Draw) -> int:
        if draw.temperature == 0.0:
            return int(logprobs.argmax())
        # in float64: a sum over a large vocabulary loses its tail in float32
        cumulative = self._torch.softmax(logprobs.double() / draw.temperature, dim=-1).cumsum(0)
        target = cumulative.new_tensor([draw.uniform() * float(cumulative[-1])])
        return min(int(self._torch.searchsorted(cumulative, target, right=True)), logprobs.shape[0] - 1)


class _Padded:
    """Rows behind a common beginning of `n_shared` tokens, padded on the left to one length."""

    def __init__(self, model: LocalModel, rows: Sequence[list[int]], n_shared: int) -> None:
        longest = max(map(len, rows))
        n_pad = [longest - len(row) for row in rows]
        rest = [[*([0] * n), *row[n_shared:]] for n, row in zip(n_pad, rows, strict=True)]
        self.ids = model.tensor(rest)
        self.mask = model.tensor([[1] * n_shared + [0] * n + [1] * (longest - n_shared - n) for n in n_pad])
        self.positions = model.tensor([[0] * n + list(range(n_shared, longest - n)) for n in n_pad])


class _State:
    """Rows as read so far, the last token of each at the end."""

    def __init__(self, model: LocalModel, rows: Sequence[list[int]]) -> None:
        self._model = model
        n_shared, cache = model.find_prefix(rows)
        batch = _Padded(model, rows, n_shared)
        self._mask = batch.mask
        self._lengths = [len(row) for row in rows]
        self._read(batch.ids, batch.positions, cache)

    def feed(self, rows: Sequence[Sequence[int]]) -> None:
        """Read equally many further tokens in each row."""
        model, n = self._model, len(rows[0])
        self._mask = model.join(self._mask, model.tensor([[1] * n] * len(rows)))
        # a row that is over is fed on with the others, and must not run out of the table of positions
        last = (model.n_context or math.inf) - 1
        positions = model.tensor([[int(min(length + i, last)) for i in range(n)] for length in self._lengths])
        self._lengths = [length + n for length in self._lengths]
        self._read(model.tensor(rows), positions, self._cache)

    def _read(self, ids: Any, positions: Any, cache: Any) -> None:
        logits, self._cache = self._model.forward(ids, self._mask, positions, cache)
        self._logprobs = logits[:, -1].log_softmax(dim=-1).cpu()

    def logprobs(self) -> torch.Tensor:
        """Log-probabilities of each row's next token."""
        return self._logprobs


def _choose(logit: float, draw: Draw) -> int:
    if draw.temperature == 0.0:
        return int(logit > 0.0)
    return int(draw.uniform() < logistic(logit / draw.temperature))


def logistic(x: float) -> float:
    """1 / (1 + exp(-x)) without overflow."""
    return 1.0 / (1.0 + math.exp(-x)) if x >= 0.0 else math.exp(x) / (1.0 + math.exp(x))
