"""Performance profiles held against their definition."""

from __future__ import annotations

import itertools
import math

from hypothesis import given
from hypothesis import strategies as st

from scoring.profiles import TAU_MAX, corners

RATIOS = st.lists(st.floats(0.01, 10) | st.just(math.inf), min_size=1, max_size=12)


@given(ratios=RATIOS, tau=st.floats(1, TAU_MAX))
def test_a_profile_is_the_share_of_ratios_up_to_tau(ratios: list[float], tau: float) -> None:
    path = corners(ratios)
    at_tau = [rho for place, rho in path if place <= tau][-1]
    assert at_tau == sum(ratio <= tau for ratio in ratios) / len(ratios)


@given(ratios=RATIOS)
def test_a_profile_goes_up_in_right_angles_from_1_to_its_end(ratios: list[float]) -> None:
    path = corners(ratios)
    assert (path[0][0], path[-1][0]) == (1.0, TAU_MAX)
    for (tau, rho), (later, higher) in itertools.pairwise(path):
        assert later >= tau
        assert higher >= rho
        assert later == tau or higher == rho
