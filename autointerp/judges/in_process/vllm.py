"""Judge `vllm`: vLLM's offline engine in this process (extra `vllm`, docs/vllm.md).

tests/judges/test_vllm.py checks the calls against vLLM's recorded signatures.
"""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from autointerp.distribution import how_to_install
from autointerp.errors import ConfigError, JudgeRejected, JudgeRetry, JudgeStopped, PluginError
from autointerp.judges.in_process.batching import Batcher, Waiting
from autointerp.judges.in_process.labels import by_text, label_token_ids
from autointerp.judges.judge import Capabilities, Reply, Request, Usage
from autointerp.judges.options import Options, read_options
from autointerp.judges.system_message import fold_system, refuses_system
from autointerp.judges.tasks import ScoreTask
from autointerp.seeds import derive

__all__ = ["VllmJudge", "VllmOptions", "open_judge"]

_MOST_LABEL_TOKENS = 128
"""vLLM's limit for log-probabilities by token number."""
_OWN_ARGUMENTS = frozenset(
    {
        *("model", "revision", "dtype", "quantization", "tensor_parallel_size", "max_model_len"),
        *("gpu_memory_utilization", "seed", "enable_prefix_caching"),
    }
)


class VllmOptions(Options):
    """`[judges.vllm]`."""

    chunk_size: Annotated[int, Field(gt=0)] = 4096
    """Questions answered together; a killed run loses at most one chunk."""
    quiet_s: Annotated[float, Field(gt=0.0)] = 0.25
    """Wait for further questions before an incomplete chunk is sent."""
    reply_format: Literal["json_schema", "none"] = "json_schema"
    """`json_schema`: replies keep the scorer's schema. `none`: the model writes freely."""
    top_logprobs: Annotated[int, Field(ge=0, le=20)] = 5
    """Alternatives per token where log-probabilities are wanted, except for a scoring task's labels."""
    chat_template_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Variables of the model's chat template, such as `enable_thinking = false`."""
    revision: str | None = None
    """Branch, tag or commit of a model on the hub."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Type of weights and arithmetic."""
    quantization: str | None = None
    """vLLM's name of the method; None infers it from the model's files."""
    tensor_parallel_size: Annotated[int, Field(gt=0)] = 1
    """GPUs that share one copy of the model. For several copies use `vllm serve` with judge `openai`."""
    max_model_len: Annotated[int, Field(gt=0)] | None = None
    """Longest prompt and reply together, in tokens; left out, the model's own, which may not fit the GPU."""
    gpu_memory_utilization: Annotated[float, Field(gt=0.0, le=1.0)] = 0.9
    """Share of the GPU's memory that vLLM may take."""
    engine: dict[str, Any] = Field(default_factory=dict)
    """Further arguments of vLLM's engine, by vLLM's names."""

    @field_validator("engine")
    @classmethod
    def _check_engine(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name in value:
            if name in _OWN_ARGUMENTS:
                raise ValueError(f"'{name}' is set by this judge; give it as an option of its own where there is one")
            if name == "trust_remote_code":
                raise ValueError("'trust_remote_code' is never set: it would run code of the model's repository")
            if name == "hf_token":
                raise ValueError("'hf_token' is a secret; log in with `hf auth login` instead")
            if name == "data_parallel_size":
                raise ValueError("'data_parallel_size' needs `vllm serve` and the judge 'openai' (docs/vllm.md)")
        return value


class VllmJudge:
    """One model on this machine's GPUs."""

    def __init__(self, model: str, *, options: VllmOptions) -> None:
        """Raises PluginError where vLLM cannot be imported."""
        try:
            self._vllm: Any = importlib.import_module("vllm")
            self._params: Any = importlib.import_module("vllm.sampling_params")
            exceptions: Any = importlib.import_module("vllm.exceptions")
        except (ImportError, OSError, RuntimeError) as error:
            raise PluginError(
                f"judge 'vllm' cannot import vLLM ({_first_line(error)}); in an environment of its own with a GPU: "
                + how_to_install("vllm")
            ) from error
        self._rejections = (exceptions.VLLMClientError, ValueError)
        self._failures = (exceptions.VLLMServerError, RuntimeError, OSError)
        self._model, self._options = model, options
        self._llm: Any = None
        self._label_ids: list[int] = []
        self._folds_system = False
        self._batcher = Batcher[Request, Reply](
            self._answer, size=options.chunk_size, quiet_s=options.quiet_s, name="vllm"
        )
        self._capabilities = Capabilities(
            endpoint="vllm",
            model=model,
            is_local=True,
            has_logprobs=True,
            has_schema=options.reply_format == "json_schema",
            max_concurrent=options.chunk_size,
            is_batching=True,
            variant=_variant(options),
        )

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    async def ask(self, request: Request) -> Reply:
        """Raises JudgeRejected for what the engine refuses, JudgeRetry for a broken-off reply, JudgeStopped for a dead
        engine.
        """
        return await self._batcher.ask(request)

    async def aclose(self) -> None:
        await self._batcher.aclose(self._shut_down)

    def _answer(self, batch: Sequence[Waiting[Request]]) -> Iterator[tuple[int, Reply | Exception]]:
        """One reply or error per question; runs in the engine's thread."""
        self._start()
        requests = [waiting.question for waiting in batch]
        prepared: list[Any] = [self._sampling(request) for request in requests]
        taken = [i for i, params in enumerate(prepared) if not isinstance(params, Exception)]
        outputs = dict(zip(taken, self._run([requests[i] for i in taken], [prepared[i] for i in taken]), strict=True))
        yield from ((i, self._reply(outputs[i]) if i in outputs else prepared[i]) for i in range(len(requests)))

    def _start(self) -> None:
        """Raises JudgeStopped where the engine cannot start."""
        if self._llm is not None:
            return
        options = self._options
        arguments: dict[str, Any] = {
            "model": self._model,
            "dtype": options.dtype,
            "tensor_parallel_size": options.tensor_parallel_size,
            "gpu_memory_utilization": options.gpu_memory_utilization,
            # all questions of a scorer begin alike
            "enable_prefix_caching": True,
            "seed": 0,
            "trust_remote_code": False,
        }
        for name in ("revision", "quantization", "max_model_len"):
            if (value := getattr(options, name)) is not None:
                arguments[name] = value
        arguments |= options.engine
        try:
            self._llm = self._vllm.LLM(**arguments)
            tokenizer = self._llm.get_tokenizer()
            ids = label_token_ids(lambda text: tokenizer.encode(text, add_special_tokens=False))
            self._label_ids = list(ids)[:_MOST_LABEL_TOKENS]
        except (*self._rejections, *self._failures, TypeError, KeyError) as error:
            raise JudgeStopped(f"judge vllm:{self._model} cannot start its engine: {_first_line(error)}") from error

    def _shut_down(self) -> None:
        if self._llm is not None:
            self._llm.llm_engine.engine_core.shutdown()
            self._llm = None

    def _sampling(self, request: Request) -> Any:
        more: dict[str, Any] = {}
        try:
            if request.reply_schema is not None and self._options.reply_format == "json_schema":
                more["structured_outputs"] = self._params.StructuredOutputsParams(json=_plain(request.reply_schema))
            if request.temperature > 0.0:
                # seeded by the request alone, so that no neighbour in the chunk changes a reply
                more["seed"] = derive(request.seed or 0, "vllm", request.sample)
            if request.want_logprobs and isinstance(request.task, ScoreTask) and self._label_ids:
                more["logprob_token_ids"] = self._label_ids
            elif request.want_logprobs:
                more["logprobs"] = self._options.top_logprobs
            return self._params.SamplingParams(max_tokens=request.max_tokens, temperature=request.temperature, **more)
        except self._rejections as error:
            return JudgeRejected(_first_line(error))

    def _run(self, requests: Sequence[Request], params: Sequence[Any]) -> list[Any]:
        """Output or error per request."""
        if not requests:
            return []
        asked = [fold_system(r.messages) if self._folds_system else r.messages for r in requests]
        messages = [[{"role": m.role, "content": _whole(m.content)} for m in conversation] for conversation in asked]
        try:
            outputs = self._llm.chat(
                messages,
                sampling_params=list(params),
                use_tqdm=False,
                chat_template_kwargs=self._options.chat_template_kwargs or None,
            )
        except self._rejections as error:
            if refuses_system(str(error)) and not self._folds_system:
                self._folds_system = True  # as the model's template refuses it, so it does for every request
                return self._run(requests, params)
            if len(requests) == 1:
                return [JudgeRejected(_first_line(error))]
            # one bad request makes the engine refuse the chunk before computing anything: halve until it stands alone
            half = len(requests) // 2
            return self._run(requests[:half], params[:half]) + self._run(requests[half:], params[half:])
        except self._failures as error:
            raise JudgeStopped(f"judge vllm:{self._model}: its engine failed: {_first_line(error)}") from error
        if len(outputs) != len(requests):
            raise JudgeRetry(f"the engine gave {len(outputs)} outputs for {len(requests)} requests")
        return list(outputs)

    def _reply(self, output: Any) -> Reply | Exception:
        if isinstance(output, Exception):
            return output
        written = output.outputs[0]
        reason = written.finish_reason
        if reason not in ("stop", "length", "repetition"):
            return JudgeRetry(f"the engine broke the reply off ({reason})")
        return Reply(
            text=written.text,
            model=self._model,
            # a reply that turns in circles was cut off as well
            finish="stop" if reason == "stop" else "length",
            usage=Usage(
                input_tokens=len(output.prompt_token_ids or ()),
                output_tokens=len(written.token_ids),
                cached_tokens=output.num_cached_tokens or 0,
            ),
            token_logprobs=_logprobs(written),
        )


def _logprobs(written: Any) -> tuple[tuple[str, Mapping[str, float]], ...] | None:
    """Each token's text and alternatives."""
    if written.logprobs is None:
        return None
    tokens = []
    for token, seen in zip(written.token_ids, written.logprobs, strict=True):
        # one that the engine did not look at has no probability
        looked_at = [one for one in seen.values() if not math.isinf(one.logprob)]
        texts = by_text((one.decoded_token or "", one.logprob) for one in looked_at)
        tokens.append((seen[token].decoded_token or "", texts))
    return tuple(tokens)


def _whole(text: str) -> str:
    # no tokenizer takes half a surrogate pair
    return text.encode("utf-8", errors="replace").decode()


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=dict))


def _variant(options: VllmOptions) -> str:
    """Options that change replies, as canonical text."""
    speed_only = {"chunk_size", "quiet_s", "tensor_parallel_size", "gpu_memory_utilization", "max_model_len"}
    changed = options.model_dump(exclude=speed_only, exclude_defaults=True, mode="json")
    return json.dumps(changed, sort_keys=True) if changed else ""


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__


def open_judge(model: str | None, options: Mapping[str, Any]) -> VllmJudge:
    """Raises ConfigError for a missing model or a wrong option."""
    checked = read_options("vllm", VllmOptions, options)
    if model is None:
        raise ConfigError("judge 'vllm' needs a model: write vllm:DIRECTORY or vllm:NAME of the HuggingFace hub")
    return VllmJudge(model, options=checked)
