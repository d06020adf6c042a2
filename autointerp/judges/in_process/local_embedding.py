"""Judge `local_embedding`: similarity by a transformers model in this process; nothing is downloaded."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from autointerp.distribution import how_to_install
from autointerp.errors import ConfigError, JudgeRejected, JudgeStopped, PluginError, UnreadableFile
from autointerp.judges.in_process.batching import Batcher, Waiting
from autointerp.judges.in_process.local_files import ModelFiles, pick_device
from autointerp.judges.judge import Capabilities, Reply, Request, Usage
from autointerp.judges.options import Options, read_options
from autointerp.judges.similarity import compared_texts, similarity_reply, similarity_task
from autointerp.small_files import read_json

__all__ = ["LocalEmbeddingJudge", "LocalEmbeddingOptions", "open_judge"]

_QUIET_S = 0.01
_REQUESTS_GATHERED = 4
_POOLINGS = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "first",
    "pooling_mode_lasttoken": "last",
}


class LocalEmbeddingOptions(Options):
    """`[judges.local_embedding]`."""

    device: str = "auto"
    """`auto` is CUDA where there is one, else the CPU."""
    revision: str | None = None
    """Branch, tag or commit of a model in the hub's cache."""
    batch_size: Annotated[int, Field(gt=0)] = 32
    """Texts per forward pass."""
    pooling: Literal["auto", "mean", "first", "last"] = "auto"
    """Way from token states to one vector; `auto` follows the model's files, else the mean."""
    query_prefix: str = ""
    """Text put before the explanation, for models trained with instructions, such as `query: `."""
    passage_prefix: str = ""
    """Text put before every passage, such as `passage: `."""


class LocalEmbeddingJudge:
    """One float32 encoder; weights are read with the first question."""

    def __init__(self, model: str, *, options: LocalEmbeddingOptions) -> None:
        """Raises ConfigError for a model not on this machine, PluginError without torch."""
        try:
            import torch
            import transformers
        except ModuleNotFoundError as error:
            raise PluginError(
                f"judge 'local_embedding' needs the package '{error.name}'; install the tensor half: "
                + how_to_install("models")
            ) from None
        self._torch, self._name, self._options = torch, model, options
        self._files = ModelFiles(transformers, model, revision=options.revision, judge="local_embedding")
        self._device = pick_device(torch, options.device, judge="local_embedding")
        config, self._tokenizer = self._files.read_tokenizer()
        self._n_context: int | None = getattr(config.get_text_config(), "max_position_embeddings", None)
        self._pooling = _find_pooling(self._files) if options.pooling == "auto" else options.pooling
        self._model: Any = None
        self._batcher = Batcher[Request, Reply](
            self._answer, size=_REQUESTS_GATHERED, quiet_s=_QUIET_S, name="local_embedding"
        )
        names = {"revision", "query_prefix", "passage_prefix"}
        changed = options.model_dump(include=names, exclude_defaults=True) | {"pooling": self._pooling}
        self._capabilities = Capabilities(
            endpoint="local_embedding",
            model=model,
            is_local=True,
            uses_task=True,
            max_concurrent=_REQUESTS_GATHERED,
            variant=json.dumps(changed, sort_keys=True),
            is_batching=True,
            has_similarities=True,
        )

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    async def ask(self, request: Request) -> Reply:
        """Raises JudgeRejected for a long text, JudgeStopped for other tasks or unusable weights."""
        similarity_task(request, judge="local_embedding")
        return await self._batcher.ask(request)

    async def aclose(self) -> None:
        await self._batcher.aclose(self._close)

    def _close(self) -> None:
        self._model = None

    def _answer(self, batch: Sequence[Waiting[Request]]) -> Iterator[tuple[int, Reply | Exception]]:
        """One reply or error per question; runs in the engine's thread."""
        if self._model is None:
            self._model = self._files.read_weights(dtype=self._torch.float32, device=self._device, kind="AutoModel")
        for index, waiting in enumerate(batch):
            try:
                yield index, self._compare(waiting.question)
            except JudgeRejected as error:
                yield index, error
            except (RuntimeError, IndexError) as error:
                said = str(error).splitlines()[0]
                yield index, JudgeStopped(f"judge local_embedding:{self._name} failed: {said}")

    def _compare(self, request: Request) -> Reply:
        task = similarity_task(request, judge="local_embedding")
        options = self._options
        texts = compared_texts(task, query_prefix=options.query_prefix, passage_prefix=options.passage_prefix)
        rows = [self._tokenizer(text, split_special_tokens=True, verbose=False)["input_ids"] for text in texts]
        longest = max(map(len, rows))
        if self._n_context is not None and longest > self._n_context:
            raise JudgeRejected(
                f"a text's {longest} tokens do not fit the context of {self._n_context} of {self._name}; "
                "ask about shorter windows"
            )
        vectors: list[list[float]] = []
        for start in range(0, len(rows), options.batch_size):
            vectors += self._embed(rows[start : start + options.batch_size])
        return similarity_reply(vectors, model=self._name, usage=Usage(input_tokens=sum(map(len, rows))))

    def _embed(self, rows: Sequence[Sequence[int]]) -> list[list[float]]:
        """Vectors of token rows; zeros for an empty row."""
        torch = self._torch
        longest = max(1, *map(len, rows))
        pad = self._tokenizer.pad_token_id or 0
        ids = torch.tensor([[*row, *([pad] * (longest - len(row)))] for row in rows], device=self._device)
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows], device=self._device)
        with torch.inference_mode():
            states = self._model(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        weights = mask.float()
        if self._pooling != "mean":
            place = 0 if self._pooling == "first" else (mask.sum(dim=1) - 1).clamp(min=0)
            chosen = torch.zeros_like(weights)
            chosen[torch.arange(len(rows)), place] = 1.0
            weights = weights * chosen
        pooled = (states * weights[..., None]).sum(dim=1) / weights.sum(dim=1, keepdim=True).clamp(min=1.0)
        return pooled.cpu().tolist()


def _find_pooling(files: ModelFiles) -> str:
    """Pooling from the encoder's files, else `mean`."""
    path = None if files.folder is None else files.folder / "1_Pooling" / "config.json"
    if path is None or not path.is_file():
        return "mean"
    try:
        said = read_json(path)
        chosen = [name for key, name in _POOLINGS.items() if said.get(key)]
    except (UnreadableFile, AttributeError):
        chosen = []
    if len(chosen) != 1:
        raise ConfigError(f"{path} names no pooling that is known; set judges.local_embedding.pooling")
    return chosen[0]


def open_judge(model: str | None, options: Mapping[str, Any]) -> LocalEmbeddingJudge:
    """Raises ConfigError for a missing model or a wrong option."""
    checked = read_options("local_embedding", LocalEmbeddingOptions, options)
    if model is None:
        raise ConfigError(
            "judge 'local_embedding' needs a model: write local_embedding:DIRECTORY, a name of the hub's cache, or "
            "local_embedding:all-minilm-l6-v2 after `autointerp subject fetch all-minilm-l6-v2`"
        )
    return LocalEmbeddingJudge(model, options=checked)
