"""How much the sparse gradients save, encoder by encoder: a training pass of ours against plain dense autograd.

`python -m benchmarks.encoder_speed --size quick|full`. Both run in this process in turn, forward and backward without
the optimiser, from the same weights, set so that about k codes are active; the last column compares their gradients.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor

from benchmarks.tables import markdown_table, write_report
from benchmarks.workload import Job, activations, initial_weights
from sae_core.build import build_dictionary
from sae_core.config import DictionaryConfig
from sae_core.device import fast_matmul
from sae_core.encoder import EncoderDictionary

N_ACTIVE = 64
HIDDEN = 512
L1 = 0.05


def _configs(n_features: int) -> dict[str, DictionaryConfig]:
    common = {"n_features": n_features, "k": N_ACTIVE}
    return {
        "topk": DictionaryConfig(kind="topk", **common),
        "batchtopk": DictionaryConfig(kind="batchtopk", **common),
        "matryoshka": DictionaryConfig(
            kind="matryoshka", prefixes=(n_features // 16, n_features // 4, n_features), **common
        ),
        "abstopk": DictionaryConfig(kind="abstopk", **common),
        "relu": DictionaryConfig(kind="relu", l1_weight=L1, **common),
        "jumprelu": DictionaryConfig(kind="jumprelu", bandwidth=0.05, threshold_init=0.1, **common),
        "gated": DictionaryConfig(kind="gated", l1_weight=L1, **common),
        "prolu": DictionaryConfig(kind="prolu", l1_weight=L1, **common),
        "mlp": DictionaryConfig(kind="mlp", hidden=(HIDDEN,), l1_weight=L1, **common),
    }


def _dictionary(config: DictionaryConfig, job: Job) -> EncoderDictionary:
    """One whose biases leave about N_ACTIVE codes active."""
    sample = activations(job, 0)[:1024]
    dictionary = build_dictionary(config, d_in=job.d_in, seed=0, sample=sample, normalise_inputs=False)
    assert isinstance(dictionary, EncoderDictionary)
    with torch.no_grad():
        if config.kind != "mlp":
            weights = initial_weights(job)
            for name in ("W_enc", "W_dec", "b_dec"):
                dictionary.get_parameter(name).copy_(weights[name])
        product = dictionary.hidden(sample) @ dictionary.W_enc.T
        rank = max(1, round(sample.shape[0] * N_ACTIVE / job.n_features))
        if config.kind in {"relu", "gated", "prolu", "mlp", "jumprelu"}:
            bias = -product.topk(rank, dim=0).values[-1]
            for name in ("b_gate", "b_mag") if config.kind == "gated" else ("b_enc",):
                dictionary.get_parameter(name).copy_(bias + (0.1 if config.kind == "jumprelu" else 0.0))
    return dictionary.train()


def _plain_pass(dictionary: EncoderDictionary, x: Tensor) -> tuple[Tensor, Tensor, list[Tensor], list[Tensor]]:
    """(reconstruction, penalty, partial and side reconstructions) with every code kept and every product dense."""
    config, p = dictionary.config, dict(dictionary.named_parameters())
    hidden = x - p["b_dec"]
    for layer in range(len(config.hidden) if config.kind == "mlp" else 0):
        hidden = torch.relu(hidden @ p[f"layers.{layer}.W_hidden"].T + p[f"layers.{layer}.b_hidden"])
    product = hidden @ p["W_enc"].T
    side: list[Tensor] = []
    penalty = torch.zeros(())
    if config.kind == "gated":
        gate = torch.relu(product + p["b_gate"])
        code = torch.relu(product * p["r_mag"].exp() + p["b_mag"]) * (gate > 0)
        side = [gate @ p["W_dec"].detach() + p["b_dec"].detach()]
        penalty = L1 * gate.sum() / len(x)
    elif config.kind == "prolu":
        code = ((product > 0) & (product + p["b_enc"] > 0)) * (product + p["b_enc"] - p["b_enc"].detach())
        penalty = L1 * code.sum() / len(x)
    elif config.kind == "jumprelu":
        pre, theta, width = product + p["b_enc"], p["log_threshold"].exp(), config.bandwidth
        step = (pre > theta).to(x.dtype)
        kernel = ((pre - theta).abs() < width / 2).to(x.dtype) / width
        moved = theta - theta.detach()  # 0, with the threshold's gradient
        code = pre * step - kernel * theta.detach() * moved
        penalty = 0.001 * (step - kernel * moved).sum() / len(x)
    else:
        code = product + p["b_enc"]
        if config.kind in {"topk", "abstopk"}:
            columns = (code.abs() if config.kind == "abstopk" else code).topk(config.k, dim=1, sorted=False).indices
            code = torch.zeros_like(code).scatter(1, columns, code.gather(1, columns))
        elif config.kind in {"batchtopk", "matryoshka"}:
            flat = code.flatten()
            kept = flat.topk(config.k * len(x), sorted=False).indices
            code = torch.zeros_like(flat).scatter(0, kept, flat[kept]).view_as(code)
        code = code if config.kind == "abstopk" else torch.relu(code)
        if config.kind in {"relu", "mlp"}:
            penalty = L1 * code.sum() / len(x)
    partial = []
    if config.kind == "matryoshka":
        partial = [code[:, :n] @ p["W_dec"][:n] + p["b_dec"] for n in config.prefixes[:-1]]
    return code @ p["W_dec"] + p["b_dec"], penalty, partial, side


def _loss(x: Tensor, reconstruction: Tensor, penalty: Tensor, partial: list[Tensor], side: list[Tensor]) -> Tensor:
    errors = [(each - x).square().mean() for each in [reconstruction, *partial]]
    return torch.stack(errors).mean() + penalty + sum((each - x).square().mean() for each in side)


def _ours(dictionary: EncoderDictionary, x: Tensor) -> Tensor:
    passed = dictionary.training_pass(x)
    partial, side = list(passed.partial_reconstructions), list(passed.side_reconstructions)
    return _loss(x, passed.reconstruction, passed.penalty, partial, side)


def _plain(dictionary: EncoderDictionary, x: Tensor) -> Tensor:
    return _loss(x, *_plain_pass(dictionary, x))


def _timed(loss_of: Callable[[EncoderDictionary, Tensor], Tensor], dictionary: EncoderDictionary, x: Tensor) -> float:
    dictionary.zero_grad(set_to_none=True)
    start = time.process_time()
    loss_of(dictionary, x).backward()
    return time.process_time() - start


def _gradients(dictionary: EncoderDictionary) -> Tensor:
    return torch.cat([p.grad.flatten() for p in dictionary.parameters() if p.grad is not None])


def _race(kind: str, config: DictionaryConfig, job: Job, *, n_rounds: int) -> list[str]:
    dictionary = _dictionary(config, job)
    ours: list[float] = []
    plain: list[float] = []
    for number in range(n_rounds + 1):
        x = activations(job, number)
        with fast_matmul(torch.device("cpu")):
            ours.append(_timed(_ours, dictionary, x))
        found = _gradients(dictionary)
        # With torch's own setting: what one gets who writes it down plainly.
        plain.append(_timed(_plain, dictionary, x))
        wanted = _gradients(dictionary)
    with torch.no_grad():
        l0 = float(dictionary.training_pass(x).n_active)
    row = [
        kind,
        f"{l0:.0f}",
        f"{median(ours[1:]):.3f}",
        f"{median(plain[1:]):.3f}",
        f"{median(plain[1:]) / median(ours[1:]):.1f}x",
        f"{float((found - wanted).norm() / wanted.norm()):.0e}",
    ]
    print("  " + " ".join(row), file=sys.stderr)
    return row


def main() -> None:
    """Print the table and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=("quick", "full"), default="quick")
    options = parser.parse_args()
    torch.set_num_threads(1)
    is_quick = options.size == "quick"
    job = Job("topk", 4096 if is_quick else 8192, batch=2048 if is_quick else 4096)
    rows = [
        _race(kind, config, job, n_rounds=1 if is_quick else 3) for kind, config in _configs(job.n_features).items()
    ]
    header = ["encoder", "L0", "sae_core, CPU s", "dense autograd, CPU s", "ours is faster", "gradients differ by"]
    note = (
        f"Forward and backward of one batch; d_in = {job.d_in}, {job.n_features:,} features, batch {job.batch}. One "
        "pre-activation within rounding of its threshold, counted as active by one and not by the other, moves the "
        "last column to about 1e-3."
    )
    table = markdown_table(header, rows)
    print(f"{note}\n\n{table}")
    write_report("encoder_speed", "Sparse gradients, encoder by encoder", [note, table], size=options.size)


if __name__ == "__main__":
    main()
