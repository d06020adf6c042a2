"""Where activations are read: a site of a layer. All that is known of a site is its row of the table `SITES`."""

from __future__ import annotations

from dataclasses import dataclass

from autointerp.config.dictionary_entry import Site

__all__ = ["SITES", "SitePoint", "SiteRow"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteRow:
    """What has to be known of a site.

    hook: the name transformer_lens gives the place, within its block.
    way: what leads from the site to the residual stream, by its name in the block: a projection, then a norm, which
    only some blocks have. () for what is added to the stream as it stands, None where the way is not linear, so that
    directions have no logit effects.
    skip: the site of the same layer where a change made here has to be added once more, because the hook stands on the
    branch and not on the skip connection. None where replacing the value at the hook is all of it.
    """

    hook: str
    way: tuple[str, ...] | None
    skip: Site | None = None


SITES: dict[Site, SiteRow] = {
    "resid_pre": SiteRow(hook="hook_resid_pre", way=()),
    "resid_mid": SiteRow(hook="hook_resid_mid", way=(), skip="resid_post"),
    "resid_post": SiteRow(hook="hook_resid_post", way=()),
    "mlp_in": SiteRow(hook="mlp.hook_in", way=None),
    "mlp_post": SiteRow(hook="mlp.hook_post", way=("mlp.W_out", "ln2_post")),
    "mlp_out": SiteRow(hook="hook_mlp_out", way=()),
    "attn_z": SiteRow(hook="attn.hook_z", way=("attn.W_O", "ln1_post")),
    "attn_out": SiteRow(hook="hook_attn_out", way=()),
}


@dataclass(frozen=True, slots=True)
class SitePoint:
    """One place in the subject. `mlp_in` is what the MLP reads, its norm applied; `mlp_post` holds the neurons;
    `attn_z` has its heads laid end to end."""

    site: Site
    layer: int

    @property
    def hook(self) -> str:
        """The transformer_lens hook name."""
        return f"blocks.{self.layer}.{SITES[self.site].hook}"

    def __str__(self) -> str:
        return f"{self.site}.{self.layer}"
