"""Rendered objects without a background: what is opaque is the object, and a seed gives the same."""

from __future__ import annotations

import numpy as np

from perception.simulation.cutouts import SIZES_PX, render_cutouts


def test_objects_fill_their_pictures_and_nothing_else_is_opaque() -> None:
    found = render_cutouts(12, seed=3)
    assert len(found) == 12
    assert {"cone", ""} < {each.label for each in found}  # empty: a thing without a class
    for each in found:
        assert each.pixels.shape == (*each.opacity.shape, 3)
        assert max(each.opacity.shape) <= 1.25 * SIZES_PX[1]
        assert (each.opacity.min(), each.opacity.max()) == (0, 1)
        for edge in (each.opacity[0], each.opacity[-1], each.opacity[:, 0], each.opacity[:, -1]):
            assert edge.max() > 0
        ground = np.median(each.pixels[each.opacity == 0], axis=0)
        inside = each.pixels[each.opacity == 1].astype(float)
        if each.label == "cone":  # a saturated colour, unlike any ground
            assert np.ptp(np.median(inside, axis=0)) > 1.5 * np.ptp(ground)


def test_a_seed_gives_the_same_objects_and_another_one_others() -> None:
    first, again, other = (render_cutouts(1, seed)[0] for seed in (5, 5, 6))
    np.testing.assert_array_equal(first.pixels, again.pixels)
    np.testing.assert_array_equal(first.opacity, again.opacity)
    assert first.pixels.shape != other.pixels.shape or (first.pixels != other.pixels).any()
