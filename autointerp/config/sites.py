"""Where activations are read: a site of a layer, with its row in `SITES`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["SITES", "Site", "SitePoint", "SiteRow"]

Site = Literal["resid_pre", "resid_mid", "resid_post", "mlp_in", "mlp_post", "mlp_out", "attn_z", "attn_out"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteRow:
    # transformer_lens' name of the place within its block
    hook: str
    # the projection and the norm (where the block has one) that lead to the residual stream, by name; () for what is
    # added to the stream as it stands, None where the way is not linear and directions have no logit effects
    way: tuple[str, ...] | None
    # the site of the same layer where a change made here is added once more, since the hook stands on the branch and
    # not on the skip connection
    skip: Site | None = None


# in the order in which a pass meets them within a block
SITES: dict[Site, SiteRow] = {
    "resid_pre": SiteRow(hook="hook_resid_pre", way=()),
    "attn_z": SiteRow(hook="attn.hook_z", way=("attn.W_O", "ln1_post")),
    "attn_out": SiteRow(hook="hook_attn_out", way=()),
    "resid_mid": SiteRow(hook="hook_resid_mid", way=(), skip="resid_post"),
    "mlp_in": SiteRow(hook="mlp.hook_in", way=None),
    "mlp_post": SiteRow(hook="mlp.hook_post", way=("mlp.W_out", "ln2_post")),
    "mlp_out": SiteRow(hook="hook_mlp_out", way=()),
    "resid_post": SiteRow(hook="hook_resid_post", way=()),
}


@dataclass(frozen=True, slots=True)
class SitePoint:
    """One place in the subject: `mlp_in` is what the MLP reads after its norm, `mlp_post` holds the neurons."""

    site: Site
    layer: int

    @property
    def hook(self) -> str:
        return f"blocks.{self.layer}.{SITES[self.site].hook}"

    def __str__(self) -> str:
        return f"{self.site}.{self.layer}"
