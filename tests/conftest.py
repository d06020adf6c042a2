"""Tensor shapes and types stated in signatures are checked while tests run, and only then."""

import os

from jaxtyping import install_import_hook

# Processes are forked in tests, and OpenMP threads that were started before a fork never answer after it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

install_import_hook(["sae_core", "autointerp.subject", "autointerp.harvest"], "beartype.beartype")
