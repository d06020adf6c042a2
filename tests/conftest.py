"""Tensor shapes and types stated in signatures are checked while tests run, and only then."""

from jaxtyping import install_import_hook

install_import_hook(["sae_core", "autointerp.subject", "autointerp.harvest"], "beartype.beartype")
