"""The subject: a causal language model whose activations are read, replaced and followed to the logits."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from autointerp.config.sites import SITES, SitePoint
from autointerp.config.tree import SubjectConfig
from autointerp.errors import SubjectError
from autointerp.subject.bridge import boot_bridge
from autointerp.subject.hooks import Change, Hook, Replace, adds, carries, splices
from autointerp.subject.loading import load_model, load_tokenizer, locate_model, pick_device
from autointerp.subject.placement import placement_options
from autointerp.subject.plain import PlainModel, PlainPlace
from autointerp.subject.tokens import bos_id, plain_tokenizer, special_ids
from autointerp.subject.twins import make_twin
from autointerp.subject.unembedding import LinearNorm, logit_effects
from sae_core.device import fast_matmul

if TYPE_CHECKING:
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = ["Subject", "load_subject"]

# logits held at once while a loss is computed (256 MB in float32)
LOGIT_ENTRIES = 1 << 26
# logarithms of them
NATS_ENTRIES = 1 << 22

# tokens of the pass that tells a site's width, and how far the plain model's values may be from the bridge's there
PROBE_TOKENS = 8
SAME_VALUES = 1e-4


class _Enough(Exception):
    """Every wanted activation has been read."""


def load_subject(
    config: SubjectConfig,
    *,
    device: str = "auto",
    seed: int = 0,
    hf_model: PreTrainedModel | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
    bridge: TransformerBridge | None = None,
) -> Subject:
    """The subject that `config.model` names, its weights in float32 or 8 bits; products in float32 unless
    `config.dtype` is another. `seed` makes the random twin.

    `hf_model` is taken over, not copied; `bridge` is read as it is. Raises SubjectError for an unknown name, damaged
    weights, a missing tokenizer, an architecture without a bridge, a context longer than the model's, an absent site,
    layer or device.
    """
    chosen, name = pick_device(device), config.model
    placement = placement_options(config, chosen)
    if placement and (hf_model is not None or bridge is not None):
        raise SubjectError(
            "subject.dtype = 'int8' and subject.device_map are for models loaded by name; leave them out for a model "
            "that is handed over"
        )
    if bridge is not None:
        hf_model = bridge.original_model  # type: ignore[assignment]
    elif hf_model is None:
        location = locate_model(name)
        hf_model = load_model(location, name=name, **placement)
        tokenizer = tokenizer or load_tokenizer(location, name=name)
    if hf_model is None or tokenizer is None:
        raise ValueError("a model from memory needs its tokenizer too")
    if bridge is None:
        make_twin(hf_model, config.weights, seed=seed)
    subject = Subject(hf_model, tokenizer=tokenizer, name=name, device=chosen, bridge=bridge, is_placed=bool(placement))
    if subject.max_positions is not None and config.context_tokens > subject.max_positions:
        raise SubjectError(
            f"subject.context_tokens = {config.context_tokens} is more than the {subject.max_positions} positions "
            f"of '{name}'; use {subject.max_positions} or fewer"
        )
    subject.check(SitePoint(config.site, config.layer))
    if config.dtype in ("bfloat16", "int8"):
        subject.dtype = getattr(torch, config.dtype)
    return subject


def _keep(x: Tensor, found: dict[SitePoint, Tensor], *, point: SitePoint, n_wanted: int, device: torch.device) -> None:
    """Raises _Enough at the last activation that is wanted."""
    found[point] = x.flatten(2).float().to(device) if x.dim() > 2 else x
    if len(found) == n_wanted:
        raise _Enough


class Subject:
    """A model under study: raw weights (nothing folded or centred), float32 or placed in 8 bits, never changed."""

    def __init__(
        self,
        hf_model: PreTrainedModel,
        *,
        tokenizer: PreTrainedTokenizerBase,
        name: str,
        device: torch.device,
        bridge: TransformerBridge | None = None,
        is_placed: bool = False,
    ) -> None:
        """`is_placed`: the model stays where and as it was loaded. `device` gives tokens and takes what is read."""
        self.name = name
        self.device = device
        # of matrix products; bfloat16 changes values (`subject.precision`), int8 is how linear layers were loaded
        self.dtype = torch.float32
        self.max_positions: int | None = getattr(hf_model.config.get_text_config(), "max_position_embeddings", None)
        model: Any = hf_model
        is_own = bridge is None and not is_placed
        if bridge is None:
            model = model.eval().requires_grad_(False)
        if is_own:
            model = model.to(torch.float32).to(device)
        self._weights = dict(model.named_parameters())
        # before the bridge takes the model's modules over
        self._plain = PlainModel(model) if is_own else None
        self._places: dict[SitePoint, PlainPlace] = {}
        self.bridge = bridge or boot_bridge(model, tokenizer=tokenizer, name=name, device=device)
        self.vocab_size = int(self.bridge.W_U.shape[1])
        self.n_layers = int(self.bridge.cfg.n_layers)
        n_rows = min(self.vocab_size, int(model.get_input_embeddings().weight.shape[0]))
        # reads special tokens' spellings in a text as ordinary characters
        self.tokenizer = _tokenizer_within(n_rows, tokenizer, name=name)
        # never text
        self.special_ids = special_ids(self.tokenizer)
        self.bos_id = bos_id(self.tokenizer)
        self._widths: dict[SitePoint, int] = {}

    @property
    def n_weights(self) -> int:
        return sum(weight.numel() for weight in self._weights.values())

    def check(self, point: SitePoint) -> None:
        """Raises SubjectError unless activations can be read at this point and followed as the site's row says."""
        if point in self._widths:
            return
        if not 0 <= point.layer < self.n_layers:
            raise SubjectError(
                f"subject.layer = {point.layer} is out of range: '{self.name}' has {self.n_layers} layers; "
                f"use 0 to {self.n_layers - 1}"
            )
        fault = self._fault(point)
        if fault is not None:
            good = [site for site in SITES if self._fault(SitePoint(site, point.layer)) is None]
            raise SubjectError(f"subject.site = '{point.site}' {fault}; use one of {', '.join(good)}")

    def width(self, point: SitePoint) -> int:
        self.check(point)
        return self._widths[point]

    def _fault(self, point: SitePoint) -> str | None:
        """What is wrong with a site of a layer; where it is None the width is known."""
        if self.bridge.get_hook_point(point.hook) is None:
            return f"does not exist in '{self.name}'"
        where = f"of layer {point.layer} of '{self.name}'"
        way = SITES[point.site].way
        try:
            out = _part(self.bridge.blocks[point.layer], way[0]) if way else None
        except NotImplementedError:  # transformer_lens' word for weights in 8 bits
            return f"{where} leads to the residual stream by weights in 8 bits, which have no logit effects to read"
        if way and not isinstance(out, Tensor):
            return (
                f"{where} has no one projection to the residual stream ({way[0]}), as where experts have neurons of "
                "their own"
            )
        # the width is read off a pass
        probe = torch.arange(PROBE_TOKENS)[None] % self.vocab_size
        x = self._read_bridge(probe, [point], is_exact=True).get(point)
        if x is None or x.shape[:2] != probe.shape:
            return f"{where} holds no one vector per token"
        if out is not None and out.flatten(0, -2).shape[0] != x.shape[-1]:
            return (
                f"{where} is {x.shape[-1]} wide, but what leads from there to the residual stream reads "
                f"{out.flatten(0, -2).shape[0]}"
            )
        self._widths[point] = int(x.shape[-1])
        self._find_plain(point, probe, x)
        return None

    def _find_plain(self, point: SitePoint, probe: Tensor, x: Tensor) -> None:
        """Read the site off the plain model from now on, if it has the bridge's values there."""
        place = None if self._plain is None else self._plain.place(point, self.bridge)
        if self._plain is None or place is None:
            return
        with torch.no_grad(), self._exact():
            found = self._plain.read(probe.to(self.device), {point: place}).get(point)
        if found is not None and found.shape == x.shape and bool((found - x).norm() <= SAME_VALUES * x.norm()):
            self._places[point] = place

    def activations(
        self, tokens: Int[Tensor, "batch pos"], points: Sequence[SitePoint]
    ) -> dict[SitePoint, Float[Tensor, "batch pos d_in"]]:
        """Activations at every point, heads of `attn_z` end to end."""
        for point in points:
            self.check(point)
        return self._read(tokens, points)

    def _read(self, tokens: Tensor, points: Sequence[SitePoint]) -> dict[SitePoint, Tensor]:
        if self._plain is None or not self._places.keys() >= set(points):
            return self._read_bridge(tokens, points)
        with torch.no_grad(), self._precision():
            return self._plain.read(tokens.to(self.device), {point: self._places[point] for point in points})

    def _read_bridge(
        self, tokens: Tensor, points: Sequence[SitePoint], *, is_exact: bool = False
    ) -> dict[SitePoint, Tensor]:
        wanted = set(points)
        kept: dict[SitePoint, Tensor] = {}
        n, device = len(wanted), self.device
        readers = {p: lambda x, hook, p=p: _keep(x, kept, point=p, n_wanted=n, device=device) for p in wanted}
        # the pass ends at the last point
        with suppress(_Enough):
            self._run(tokens, readers.items(), stop=1 + max(point.layer for point in points), is_exact=is_exact)
        return kept

    def loss(self, tokens: Int[Tensor, "batch pos"], mask: Bool[Tensor, "batch pos"]) -> Float[Tensor, "batch pos"]:
        """Loss in nats of predicting each token from those before it, at its own position.

        Zero where `mask` is off and at position 0, which nothing predicts.
        """
        return self._loss(tokens, mask, lambda part: [])

    def spliced_loss(
        self,
        tokens: Int[Tensor, "batch pos"],
        mask: Bool[Tensor, "batch pos"],
        point: SitePoint,
        replace: Replace,
        *,
        read: SitePoint | None = None,
    ) -> Float[Tensor, "batch pos"]:
        """As `loss`, with the site's output replaced by `replace(x [n d_in])` at the positions of `mask` only.

        x is the site's own output, or that of `read`, which a pass meets before it.
        """
        self.check(point)
        if read is None or read == point:
            return self._loss(tokens, mask, lambda part: splices(part.to(self.device), point, replace))
        self.check(read)
        return self._loss(tokens, mask, lambda part: carries(part.to(self.device), read, point, replace))

    def changed_logits(
        self,
        tokens: Int[Tensor, "batch pos"],
        changes: Mapping[SitePoint, Change] | None = None,
        *,
        at: Int[Tensor, " batch"] | None = None,
        has_gradient: bool = False,
    ) -> Float[Tensor, "batch vocab"]:
        """Logits after each row's position `at`, by default the last, with every point's change added.

        A change sees what those before it made of its site's activations. Gradients reach what changes are made of
        where `has_gradient`.
        """
        order = list(SITES)  # as a pass meets them
        ordered = sorted((changes or {}).items(), key=lambda item: (item[0].layer, order.index(item[0].site)))
        for point, _ in ordered:
            self.check(point)
        last = torch.full((len(tokens),), tokens.shape[1] - 1) if at is None else at
        n_rows = self.rows_at_once(tokens.shape[1])
        parts = []
        for start in range(0, len(tokens), n_rows):
            rows = slice(start, start + n_rows)
            hooks = [hook for point, change in ordered for hook in adds(point, change, rows)]
            logits = self._run(tokens[rows], hooks, has_gradient=has_gradient)
            parts.append(logits[torch.arange(len(logits)), last[rows].to(logits.device)].float().to(self.device))
        return torch.cat(parts)

    def rows_at_once(self, n_positions: int) -> int:
        """The contexts of one pass to the logits; more are run in parts."""
        return max(1, LOGIT_ENTRIES // (n_positions * self.vocab_size))

    def logit_effects(self, point: SitePoint, directions: Float[Tensor, "n d_in"]) -> Float[Tensor, "n vocab"]:
        """What each direction adds to the logits, straight through the final norm; not chunked.

        Raises SubjectError for a site without a linear way to the residual stream.
        """
        self.check(point)
        if SITES[point.site].way is None:
            raise SubjectError(f"{point} of '{self.name}' reaches the logits through an MLP only: no logit effects")
        with torch.no_grad(), self._exact():
            return logit_effects(
                directions.to(self.device, torch.float32),
                out=self._out_projection(point),
                norm=self._final_norm,
                unembedding=self.bridge.W_U.float().to(self.device),
            )

    def content_hash(self) -> str:
        """Hash of all weights and of the vocabulary."""
        digest = hashlib.blake2b(digest_size=16)
        for name, weight in sorted(self._weights.items()):
            digest.update(f"{name}{tuple(weight.shape)}".encode())
            digest.update(weight.detach().cpu().contiguous().numpy().tobytes())
        for string, token in sorted(self.tokenizer.get_vocab().items()):
            digest.update(f"{token}:{string}\x1f".encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    @cached_property
    def _final_norm(self) -> LinearNorm:
        norm = getattr(self.bridge, "ln_final", None)
        return LinearNorm.measure(norm, d_model=int(self.bridge.W_U.shape[0]), device=self.device)

    def _out_projection(self, point: SitePoint) -> Float[Tensor, "d_in d_model"] | None:
        """What leads from the site to the residual stream, norm and all; None for a site in the stream itself."""
        way = SITES[point.site].way
        if not way:
            return None
        projection, *norms = (_part(self.bridge.blocks[point.layer], name) for name in way)
        out = projection.flatten(0, -2).float().to(self.device)
        for norm in norms:
            if norm is not None:
                out = LinearNorm.measure(norm, d_model=out.shape[-1], device=self.device)(out)
        return out

    def _loss(self, tokens: Tensor, mask: Tensor, hooks: Callable[[Tensor], Sequence[Hook]]) -> Tensor:
        n_rows = self.rows_at_once(tokens.shape[1])
        parts = []
        for rows, part in zip(tokens.split(n_rows), mask.split(n_rows), strict=True):
            logits = self._run(rows, hooks(part)).float().to(self.device)
            # Flat, so that classes lie side by side; the last place of a row has no target, and its loss is dropped.
            targets = rows.roll(-1, dims=1).flatten().to(self.device)
            # In parts, so that their logarithms are no second copy of all logits.
            n = max(1, NATS_ENTRIES // self.vocab_size)
            pairs = zip(logits.flatten(0, 1).split(n), targets.split(n), strict=True)
            nats = torch.cat([torch.nn.functional.cross_entropy(*pair, reduction="none") for pair in pairs])
            nats = torch.nn.functional.pad(nats.view(rows.shape)[:, :-1], (1, 0))
            parts.append(torch.where(part.to(self.device), nats, 0.0))
        return torch.cat(parts)

    def _run(
        self,
        tokens: Tensor,
        hooks: Iterable[Hook],
        *,
        stop: int | None = None,
        is_exact: bool = False,
        has_gradient: bool = False,
    ) -> Tensor:
        with torch.set_grad_enabled(has_gradient), self._exact() if is_exact else self._precision():
            return self.bridge.run_with_hooks(
                tokens.to(self.device),
                return_type="logits",
                stop_at_layer=stop,
                fwd_hooks=[(point.hook, hook) for point, hook in hooks],
            )

    def _precision(self) -> AbstractContextManager[Any]:
        if self.dtype == torch.bfloat16:
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        return self._exact()

    def _exact(self) -> AbstractContextManager[None]:
        # 1.4 times as fast on CPUs, where it is exact; on CUDA it would not be
        return fast_matmul(self.device) if self.device.type == "cpu" else nullcontext()


def _tokenizer_within(n_rows: int, tokenizer: PreTrainedTokenizerBase, *, name: str) -> PreTrainedTokenizerBase:
    try:
        return plain_tokenizer(tokenizer, n_rows=n_rows)
    except ValueError:
        raise SubjectError(
            f"subject.model = '{name}': its tokenizer has {len(tokenizer)} entries, the model only {n_rows}; give the "
            "tokenizer the model was trained with"
        ) from None


def _part(block: Any, name: str) -> Any:
    for step in name.split("."):
        block = getattr(block, step, None)
    return block
