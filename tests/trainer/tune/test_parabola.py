"""Parabolas and lines: exact where there is no noise, careful where there is little to go by."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.tune.parabola import Vertex, extrapolate, vertex


@settings(max_examples=50, deadline=None)
@given(st.floats(-13, -6), st.floats(0.005, 0.1), st.floats(-0.9, 0.9))
def test_the_vertex_of_a_parabola_is_found(place: float, curvature: float, shift: float) -> None:
    rates = [2 ** (place + shift + octaves) for octaves in (-2, -1, 0, 1, 2)]
    losses = [3 + curvature * octaves**2 for octaves in (shift - 2, shift - 1, shift, shift + 1, shift + 2)]
    found = vertex(list(zip(rates, losses, strict=True)))
    assert found.place == pytest.approx(place, abs=1e-6)
    assert found.curvature == pytest.approx(curvature, rel=1e-6)
    assert not found.on_edge


def test_a_bottom_beyond_the_points_is_held_near_them_and_told_to_be_uncertain() -> None:
    found = vertex([(2.0**octaves, 5 - 0.1 * octaves + 0.001 * octaves**2) for octaves in range(-12, -7)])
    assert found.on_edge
    assert found.place == pytest.approx(-7.5)
    assert found.deviation > 1


def test_where_no_parabola_opens_upwards_the_best_point_stands() -> None:
    found = vertex([(1e-3, 4.0), (2e-3, 4.2), (4e-3, 4.1)])
    assert 2**found.place == pytest.approx(1e-3)
    assert found.curvature is None


def test_a_line_meets_the_target_and_its_doubt_grows_with_the_way() -> None:
    def at(distance: float) -> Vertex:
        return Vertex(-9 + 0.3 * distance, 0.1, 0.02, False)

    near, far = ([start, start + 1, start + 2] for start in (1.0, 4.0))
    (middle, doubt, slope), (other, more, _) = (extrapolate(place, [at(d) for d in place]) for place in (near, far))
    assert middle == pytest.approx(other) == pytest.approx(-9)
    assert slope == pytest.approx(0.3)
    assert more > doubt


def test_a_belief_about_the_slope_narrows_the_doubt() -> None:
    rungs = [Vertex(-8.0, 0.3, 0.02, False), Vertex(-8.1, 0.3, 0.02, False)]
    assert extrapolate([5, 4], rungs, (0.3, 0.1))[1] < extrapolate([5, 4], rungs)[1]
