"""Gradient pursuit against dictionary_learning's, in one process, A and B in turn: CPU seconds, and whether they agree.

Usage: OMP_NUM_THREADS=1 .venv/bin/python benchmarks/gradient_pursuit.py [--rounds 5]. The peer's function is one file
that needs torch alone; it is loaded from its own environment under benchmarks/.envs. Prints medians and their ratio.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import torch

from sae_core.inference.gradient_pursuit import gradient_pursuit

ENVIRONMENT = Path(__file__).parent / ".envs" / "dictionary_learning"
D_IN, N_FEATURES, N_ROWS, K = 512, 8192, 1024, 32


def load_peer() -> ModuleType:
    """The module of dictionary_learning 0.1.0 that holds `grad_pursuit`."""
    found = sorted(ENVIRONMENT.glob("lib/python3*/site-packages/dictionary_learning/grad_pursuit.py"))
    spec = importlib.util.spec_from_file_location("peer_grad_pursuit", found[0]) if found else None
    if spec is None or spec.loader is None:
        sys.exit(f"{ENVIRONMENT} holds no dictionary_learning; make that environment first")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def draw_problem() -> tuple[torch.Tensor, torch.Tensor]:
    """Signals with K planted features each and a little noise, over random unit directions."""
    draw = torch.Generator().manual_seed(0)
    directions = torch.nn.functional.normalize(torch.randn(N_FEATURES, D_IN, generator=draw), dim=1)
    places = torch.rand(N_ROWS, N_FEATURES, generator=draw).topk(K, dim=1).indices
    codes = torch.zeros(N_ROWS, N_FEATURES).scatter(1, places, torch.randn(N_ROWS, K, generator=draw).abs())
    return codes @ directions + 0.02 * torch.randn(N_ROWS, D_IN, generator=draw), directions


def cpu_seconds(call: Callable[[], torch.Tensor]) -> tuple[float, torch.Tensor]:
    """CPU seconds of the process during one call, and what it gave."""
    start = time.process_time()
    result = call()
    return time.process_time() - start, result


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    n_rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    peer = load_peer()
    x, directions = draw_problem()
    columns = directions.T.contiguous()
    theirs, ours = [], []
    for _ in range(n_rounds):
        seconds, wanted = cpu_seconds(lambda: peer.grad_pursuit(x, columns, target_l0=K))
        theirs.append(seconds)
        seconds, found = cpu_seconds(lambda: gradient_pursuit(x, directions, n_active=K).to_dense(N_FEATURES))
        ours.append(seconds)
        print(f"peer {theirs[-1]:.2f} s, ours {ours[-1]:.2f} s, {theirs[-1] / ours[-1]:.2f}x", flush=True)
        difference = float((found - wanted).abs().max())
    ratio = statistics.median(a / b for a, b in zip(theirs, ours, strict=True))
    print(f"d_in {D_IN}, n_features {N_FEATURES}, batch {N_ROWS}, k {K}, one thread; medians of {n_rounds} rounds:")
    print(f"peer {statistics.median(theirs):.2f} s, ours {statistics.median(ours):.2f} s, ratio {ratio:.2f}")
    print(f"largest difference of a code: {difference:.1e}")


if __name__ == "__main__":
    main()
