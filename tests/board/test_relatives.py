"""The family of a feature, from where it fires."""

from __future__ import annotations

from dataclasses import replace

from autointerp.board.relatives import Relative, find_relatives
from tests.score.planted import fires_on, make_evidence


def test_features_that_fire_at_the_same_places_are_relatives_across_dictionaries_alone():
    wide = [
        make_evidence(fires_on(token), feature=n, dictionary="wide") for n, token in enumerate((" return", " class"))
    ]
    narrow = replace(wide[0], dictionary="narrow", feature=7)
    twin = replace(wide[0], feature=9)
    found = find_relatives([*wide, narrow, twin])
    assert found["narrow", 7] == [Relative("wide", 0, 1.0), Relative("wide", 9, 1.0)]
    assert found["wide", 0] == [Relative("narrow", 7, 1.0)]
    assert ("wide", 1) not in found


def test_a_part_of_a_feature_is_its_relative_by_its_own_share():
    """Of a child all places are its parent's; the share is of the one with fewer places."""
    parent = make_evidence(fires_on(" return"), feature=0, dictionary="narrow", n_documents=200)
    firing = [w for w in parent.windows if w.is_firing]
    child = replace(parent, dictionary="wide", feature=1, windows=tuple(firing[::2]))
    stranger = replace(
        parent, dictionary="other", feature=2, windows=tuple(w for w in parent.windows if not w.is_firing)
    )
    found = find_relatives([parent, child, stranger])
    assert found["narrow", 0] == [Relative("wide", 1, 1.0)]
    assert ("other", 2) not in found


def test_two_places_in_common_are_chance():
    one = make_evidence(fires_on(" return"), feature=0, dictionary="a", n_documents=200)
    firing = next(w for w in one.windows if w.is_firing)
    marked = replace(firing, activations=tuple(float(i < 2) for i in range(len(firing.activations))))
    assert find_relatives([replace(one, windows=(marked,)), replace(one, dictionary="b", windows=(marked,))]) == {}


def test_places_of_a_crowd_are_left_out():
    one = make_evidence(fires_on(" return"), feature=0, dictionary="a", n_documents=200)
    crowd = [replace(one, dictionary="ab"[number % 2], feature=number) for number in range(200)]
    assert find_relatives(crowd[:90]) and not find_relatives(crowd)
