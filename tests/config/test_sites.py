"""The table of sites, and site points: hook names and text form."""

from __future__ import annotations

from typing import get_args

from autointerp.config.sites import SITES, Site, SitePoint


def test_every_site_of_the_config_has_a_row() -> None:
    assert set(SITES) == set(get_args(Site))


def test_a_change_is_carried_to_a_site_that_exists() -> None:
    assert {row.skip for row in SITES.values()} <= {None, *SITES}


def test_names() -> None:
    assert SitePoint("mlp_post", 3).hook == "blocks.3.mlp.hook_post"
    assert str(SitePoint("resid_pre", 9)) == "resid_pre.9"
