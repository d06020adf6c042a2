"""The formulas give what torch's own counter sees of the real implementations.

FlopCounterMode counts matrix products (mm, bmm, addmm) at 2 per multiply-add, as flops does. It does not see
elementwise work (neither counts that), embedding_bag (sums of rows, dot products over active codes), solve, Cholesky
factors and eigenvalues.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from sae_core import flops
from sae_core.build import build_dictionary
from sae_core.config import DictionaryConfig
from sae_core.device import fast_matmul
from sae_core.inference.adam_codes import adam_codes
from sae_core.inference.gradient_pursuit import gradient_pursuit
from sae_core.inference.matching_pursuit import matching_pursuit
from sae_core.inference.orthogonal_matching_pursuit import orthogonal_matching_pursuit
from sae_core.inference.proximal import fista
from sae_core.sparse_coding.alternating import update_directions
from sae_core.sparse_coding.log_codes import fit_log_codes, infer_log_codes
from sae_core.sparse_coding.restarts import RestartConfig, fit_with_restarts
from sae_core.trainable import TrainableDictionary

SIZES = st.tuples(st.integers(5, 40), st.integers(2, 9), st.integers(2, 20))


@pytest.fixture(autouse=True)
def _choose_kernels() -> None:
    """The first fast product of a process tries out the kernels there are; that belongs to no method."""
    with fast_matmul(torch.device("cpu")):
        pass


def _counted(run: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def _problem(n_rows: int, d_in: int, n_features: int) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    directions = torch.nn.functional.normalize(torch.randn(n_features, d_in, generator=draw), dim=1)
    return torch.randn(n_rows, d_in, generator=draw), directions


@given(SIZES, st.lists(st.integers(1, 12), max_size=2), st.booleans())
@settings(deadline=None, max_examples=8)
def test_dense_encoders_cost_what_autograd_multiplies(
    sizes: tuple[int, int, int], hidden: list[int], has_input_gradient: bool
) -> None:
    n_rows, d_in, n_features = sizes
    x, decoder = _problem(n_rows, d_in, n_features)
    widths = [d_in, *hidden, n_features]
    layers = [torch.nn.Linear(a, b) for a, b in pairwise(widths)]
    decoder.requires_grad_()

    def step() -> None:
        h = x.clone().requires_grad_(has_input_gradient)
        for layer in layers:
            h = torch.relu(layer(h))
        (h @ decoder - x).square().sum().backward()

    size: dict[str, Any] = {"n_rows": n_rows, "d_in": d_in, "n_features": n_features, "hidden": hidden}
    training = flops.encoder_training_flops(**size, n_steps=1, has_input_gradient=has_input_gradient)
    assert _counted(step) == training
    with torch.no_grad():
        assert _counted(lambda: torch.nn.Sequential(*layers)(x)) == flops.encoder_inference_flops(**size)


@pytest.mark.parametrize(("kind", "hidden"), [("relu", ()), ("mlp", (64,)), ("mlp", (64, 32))])
def test_our_dense_training_passes_cost_the_formula(kind: str, hidden: tuple[int, ...]) -> None:
    """Within 2%: besides, 64 rows are probed for how dense the codes are, and vectors carry b_dec's gradient."""
    config = DictionaryConfig(kind=kind, n_features=96, hidden=hidden or (1,))  # pyright: ignore[reportArgumentType]
    x, _ = _problem(8192, 48, 96)
    dictionary = build_dictionary(config, d_in=48, seed=0, sample=x)
    assert isinstance(dictionary, TrainableDictionary)
    with torch.no_grad():  # dense codes, so that the dense products are taken
        dictionary.get_parameter("b_enc").fill_(1.0)

    def step() -> None:
        passed = dictionary.training_pass(x)
        ((passed.reconstruction - x).square().mean() + passed.penalty).backward()

    wanted = flops.encoder_training_flops(
        n_rows=8192, d_in=48, n_features=96, hidden=hidden, n_steps=1, has_input_gradient=bool(hidden)
    )
    assert _counted(step) == pytest.approx(wanted, rel=0.02)
    with torch.no_grad():
        inferred = _counted(lambda: dictionary.encode_dense(x))
    assert inferred == flops.encoder_inference_flops(n_rows=8192, d_in=48, n_features=96, hidden=hidden)


def test_sparse_gradients_leave_the_encoder_product_and_work_on_active_codes() -> None:
    """The counter sees the encoder's product; the rest, 8 per active code and coordinate, runs in embedding_bag."""
    x, _ = _problem(2048, 48, 512)
    dictionary = build_dictionary(DictionaryConfig(kind="topk", n_features=512, k=4), d_in=48, seed=0, sample=x)
    assert isinstance(dictionary, TrainableDictionary)
    counted = _counted(lambda: (dictionary.training_pass(x).reconstruction - x).square().mean().backward())
    wanted = flops.encoder_training_flops(n_rows=2048, d_in=48, n_features=512, n_steps=1, n_active=4)
    assert counted == pytest.approx(wanted - 2048 * 8 * 4 * 48, rel=0.02)
    dense = flops.encoder_training_flops(n_rows=2048, d_in=48, n_features=512, n_steps=1, n_active=512)
    assert dense == flops.encoder_training_flops(n_rows=2048, d_in=48, n_features=512, n_steps=1)


@given(SIZES, st.integers(1, 5))
@settings(deadline=None, max_examples=8)
def test_code_optimisers_cost_the_formula_exactly(sizes: tuple[int, int, int], n_steps: int) -> None:
    n_rows, d_in, n_features = sizes
    x, directions = _problem(*sizes)
    size: dict[str, Any] = {"n_rows": n_rows, "d_in": d_in, "n_features": n_features, "n_steps": n_steps}
    found = _counted(lambda: fista(x, directions, l1_weight=0.1, n_steps=n_steps))
    assert found == flops.fista_flops(**size)
    found = _counted(lambda: adam_codes(x, directions, l1_weight=0.1, n_steps=n_steps, learning_rate=0.01))
    # Beside the steps it takes the correlations x D^T to start from.
    start = 2 * n_rows * d_in * n_features
    assert found == start + flops.adam_codes_flops(**size, is_gram_used=n_features <= 2 * d_in)
    found = _counted(lambda: infer_log_codes(x, directions, n_steps=n_steps))
    assert found == flops.adam_codes_flops(**size)
    found = _counted(lambda: fit_log_codes(x, n_features=n_features, n_steps=n_steps))
    assert found == flops.log_codes_training_flops(**size)


@given(SIZES)
@settings(deadline=None, max_examples=6)
def test_dictionary_update_costs_its_products_and_one_solution(sizes: tuple[int, int, int]) -> None:
    n_rows, d_in, n_features = sizes
    x, directions = _problem(*sizes)
    codes = (x @ directions.T).relu()
    solution = round(2 / 3 * n_features**3) + 2 * n_features**2 * d_in
    wanted = flops.least_squares_flops(n_rows=n_rows, d_in=d_in, n_features=n_features)
    assert _counted(lambda: update_directions(x, codes, directions)) == wanted - solution


def test_pursuits_cost_their_search_plus_work_on_what_is_chosen() -> None:
    """The counter sees the search (all correlations) and, in OMP, products of chosen directions with vectors."""
    n_rows, d_in, n_features, k = 200, 24, 160, 3
    x, directions = _problem(n_rows, d_in, n_features)
    size = {"n_rows": n_rows, "d_in": d_in, "n_features": n_features, "n_active": k}
    search = n_rows * k * 2 * n_features * d_in
    assert _counted(lambda: gradient_pursuit(x, directions, n_active=k)) == search
    assert flops.gradient_pursuit_flops(**size) == search + n_rows * sum(4 * s * d_in + 4 * d_in for s in (1, 2, 3))
    assert _counted(lambda: matching_pursuit(x, directions, n_steps=k, is_non_negative=False)) == search
    assert flops.matching_pursuit_flops(**size) == search + n_rows * k * 4 * d_in
    counted = _counted(lambda: orthogonal_matching_pursuit(x, directions, n_active=k))
    assert search < counted == pytest.approx(flops.orthogonal_matching_pursuit_flops(**size), rel=0.03)


def test_restarts_report_what_they_multiplied() -> None:
    """Within 3%: comparing objectives and choosing whom to kick is not counted, solving for directions is not seen."""
    x, _ = _problem(300, 8, 12)
    config = RestartConfig(n_features=12, n_chains=3, n_turns=10, n_rounds=2, n_kick_turns=8, n_polish_turns=5)
    reported = 0

    def run() -> None:
        nonlocal reported
        reported = fit_with_restarts(torch.stack([x, x + 1]), config, seed=0).training_flops

    assert _counted(run) == pytest.approx(reported, rel=0.03)


def test_lars_estimate_grows_with_the_path_and_is_above_the_correlations() -> None:
    costs = [flops.lasso_lars_flops(n_rows=10, d_in=8, n_features=16, n_knots=n) for n in (1, 3, 8)]
    assert 10 * 2 * 8 * 16 < costs[0] < costs[1] < costs[2]


@pytest.mark.parametrize(("size", "message"), [({"d_in": 0}, "d_in = 0"), ({"n_steps": -1}, "n_steps = -1")])
def test_errors_name_the_size(size: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        flops.fista_flops(**{"n_rows": 4, "d_in": 3, "n_features": 2, "n_steps": 1, **size})
