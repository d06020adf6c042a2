"""The plain transformers model beside the bridge: the same tensors, read by torch's own hooks at the sites alone."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from autointerp.config.sites import SitePoint

if TYPE_CHECKING:
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import PreTrainedModel

__all__ = ["PlainModel", "PlainPlace"]


class _Enough(Exception):
    """Every wanted activation has been read."""


@dataclass(frozen=True, slots=True)
class PlainPlace:
    """What goes into a module, or comes out of it."""

    module: nn.Module
    side: Literal["in", "out"]

    def listen(self, hear: Any) -> RemovableHandle:
        """Calls `hear(x)` whenever the module runs."""
        if self.side == "out":
            return self.module.register_forward_hook(lambda module, args, output: hear(_first(output)))
        return self.module.register_forward_pre_hook(
            lambda module, args, kwargs: hear(args[0] if args else kwargs["hidden_states"]), with_kwargs=True
        )


class PlainModel:
    """A copy of a model's modules before a bridge takes them over; parameters and buffers are shared.

    Attention is transformers' own choice for the architecture (`sdpa` where it is the same function).
    """

    def __init__(self, model: PreTrainedModel) -> None:
        tensors = {id(tensor): tensor for tensor in chain(model.parameters(), model.buffers())}
        # the bridge puts its own modules around these
        self._names = {module: name for name, module in model.named_modules()}
        self._model = copy.deepcopy(model, tensors)
        self._model.set_attn_implementation(self._model.get_correct_attn_implementation(None))

    def place(self, point: SitePoint, bridge: TransformerBridge) -> PlainPlace | None:
        """Where the bridge's hook of a site stands in the plain model; None where it stands on no module of it."""
        hook = bridge.get_hook_point(point.hook)
        for component in bridge.blocks[point.layer].modules():
            name = self._names.get(getattr(component, "original_component", None))  # type: ignore[arg-type]
            if hook is None or name is None:
                continue
            for side in ("in", "out"):
                if component._modules.get(f"hook_{side}") is hook:
                    return PlainPlace(self._model.get_submodule(name), side)
        return None

    def read(self, tokens: Tensor, places: Mapping[SitePoint, PlainPlace]) -> dict[SitePoint, Tensor]:
        """Activations at every place, from a pass that ends at the last of them. Call without gradients."""
        found: dict[SitePoint, Tensor] = {}

        def keep(point: SitePoint, x: Tensor) -> None:
            found[point] = x.float()
            if len(found) == len(places):
                raise _Enough

        with ExitStack() as opened, suppress(_Enough):
            for point, place in places.items():
                opened.callback(place.listen(lambda x, point=point: keep(point, x)).remove)
            self._model(tokens, use_cache=False)
        return found


def _first(output: Any) -> Tensor:
    return output if isinstance(output, Tensor) else output[0]
