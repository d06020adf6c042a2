from __future__ import annotations

from dataclasses import replace
from math import log

import numpy as np
import pytest

from autointerp.score.controls import FIXED_TEXTS, fixed_controls, shuffled_partners
from tests.score.planted import fires_on, make_evidence

ONE = make_evidence(fires_on(" alpha"), n_documents=20)
MANY = [replace(ONE, feature=number, density=10.0 ** -(1 + number / 4)) for number in range(12)]
TEXTS: dict[tuple[str, int], str | None] = {("planted", e.feature): f"text {e.feature}" for e in MANY}


def test_partners_are_the_nearest_in_firing_rate_and_never_oneself() -> None:
    partners = shuffled_partners(MANY, TEXTS, seed=0, frac=1.0)
    assert len(partners) == len(MANY)
    assert all(abs(feature - partner) == 1 for (_, feature), partner in partners.items())


def test_partners_are_those_of_a_search_through_all_features() -> None:
    rng = np.random.default_rng(0)
    # several of one rate, and rates of which two are as near
    rates = [float(rng.choice([1e-5, 2e-5, 4e-5, rng.uniform(1e-5, 4e-5)])) for _ in range(60)]
    features = [replace(ONE, feature=int(n), density=d) for n, d in zip(rng.permutation(60), rates, strict=True)]
    texts: dict[tuple[str, int], str | None] = {("planted", e.feature): "text" for e in features}
    wanted = {
        ("planted", e.feature): min(
            (o for o in features if o is not e), key=lambda o: (abs(log(o.density) - log(e.density)), o.feature)
        ).feature
        for e in features
    }
    assert shuffled_partners(features, texts, seed=0, frac=1.0) == wanted


def test_a_share_is_drawn_and_its_order_is_fixed_by_the_seed() -> None:
    drawn = shuffled_partners(MANY, TEXTS, seed=0, frac=0.25)
    assert len(drawn) == 3
    assert drawn == shuffled_partners(MANY[::-1], TEXTS, seed=0, frac=0.25)
    assert len({tuple(shuffled_partners(MANY, TEXTS, seed=seed, frac=0.25)) for seed in range(10)}) > 1


def test_only_features_with_an_explanation_take_part() -> None:
    texts = {key: text if key[1] % 2 else None for key, text in TEXTS.items()}
    partners = shuffled_partners(MANY, texts, seed=0, frac=1.0)
    assert {feature for _, feature in partners} == {1, 3, 5, 7, 9, 11}
    assert all(partner % 2 for partner in partners.values())


def test_shares_are_judged_by_what_is_said_of_every_feature() -> None:
    drawn = fixed_controls(MANY, TEXTS, seed=0, fracs={"empty": 0.5, "generic": 0.25})
    counts = {name: sum(name in controls for controls in drawn.values()) for name in ("empty", "generic")}
    assert counts == {"empty": 6, "generic": 3}
    assert all(text == FIXED_TEXTS[name] for controls in drawn.values() for name, text in controls.items())
    assert drawn == fixed_controls(MANY[::-1], TEXTS, seed=0, fracs={"empty": 0.5, "generic": 0.25})
    assert fixed_controls(MANY, TEXTS, seed=0, fracs={"empty": 0.0}) == {}
    with pytest.raises(ValueError, match="'absent'"):
        fixed_controls(MANY, TEXTS, seed=0, fracs={"absent": 0.5})


def test_partners_stay_within_their_dictionary() -> None:
    lone = replace(ONE, dictionary="lone")
    partners = shuffled_partners([*MANY, lone], {**TEXTS, ("lone", 0): "text"}, seed=0, frac=1.0)
    assert ("lone", 0) not in partners
