"""The published draw is the published draw; fresh problems differ by seed."""

from __future__ import annotations

import pytest
import torch

from synthetic_studies.problems import PUBLISHED_SEED, draw_problems, draw_published


def test_the_published_draw_is_that_of_numpys_and_torchs_global_generators() -> None:
    # Taken with np.random.seed, np.random.normal, np.random.choice and torch.manual_seed, torch.randn.
    problem = draw_published(PUBLISHED_SEED["known"], n_problems=2)
    first, second = problem.train_codes[0, :2]
    assert first.nonzero()[:, 0].tolist() == [9, 11, 13]
    assert first[[9, 11, 13]].tolist() == pytest.approx([0.54306084, 1.1999758, 1.47445815])
    assert second.nonzero()[:, 0].tolist() == [2, 11, 14]
    assert second[[2, 11, 14]].tolist() == pytest.approx([0.77629164, 1.53399725, 0.48672582])
    expected = [0.3542, -0.3845, -0.6153, 0.3197, 0.4406, -0.1795, 0.0113, -0.1393]
    assert problem.dictionary[0, 0].tolist() == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize("problems", ["published", "fresh"])
def test_problems_are_k_sparse_linear_and_split(problems: str) -> None:
    found = draw_problems(problems, n_problems=3, n_samples=40, seed=1, n_features=10, d_in=4, k=2)
    assert found.train_codes.shape == found.test_codes.shape == (3, 40, 10)
    assert ((found.train_codes > 0).sum(dim=2) == 2).all() and (found.train_codes >= 0).all()
    torch.testing.assert_close(found.dictionary.norm(dim=2), torch.ones(3, 10))
    torch.testing.assert_close(found.test_x, found.test_codes @ found.dictionary)
    assert not torch.equal(found.train_codes, found.test_codes)
    assert torch.equal(found.dictionary[0], found.dictionary[1]) is (problems == "published")
