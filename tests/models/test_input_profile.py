"""A profile says how far inputs lie from those of training, and survives its way through a checkpoint."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from perception.models.input_profile import FEATURES, InputProfile, fit_profile, from_plain, to_plain
from perception.models.preprocess.descriptors import PICTURE, RETURNS, describe_picture, describe_returns
from perception.models.tensors import RETURN_CHANNELS


def drawn(seed: int, groups: int = 20, each: int = 6, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Return descriptors of groups that differ from one another more than within, and their groups."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(shift, 1.0, (groups, 1, len(RETURNS)))
    rows = centres + rng.normal(0.0, 0.3, (groups, each, len(RETURNS)))
    return rows.reshape(-1, len(RETURNS)), np.repeat(np.arange(groups), each)


def fitted(seed: int = 0) -> InputProfile:
    profile = fit_profile("range", *drawn(seed))
    assert profile is not None
    return profile


def test_others_of_the_same_kind_are_near_and_shifted_ones_are_far() -> None:
    profile = fitted()
    same, _ = drawn(1)
    far, _ = drawn(2, shift=4.0)
    assert np.median(profile.distances(drawn(0)[0])) == pytest.approx(1.0, abs=0.2)
    assert np.median(profile.distances(same)) < profile.limit
    assert (profile.distances(far) > profile.limit).mean() > 0.95
    (name, places), *_ = profile.differences(far)
    assert name in RETURNS
    assert places > 2


def test_a_correlation_that_training_had_not_is_far() -> None:
    """Each number alone is usual; together they are not."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(200, len(RETURNS)))
    rows[:, 1] = rows[:, 0] + 0.05 * rng.normal(size=200)
    profile = fit_profile("range", rows, np.repeat(np.arange(20), 10))
    assert profile is not None
    apart = np.zeros((1, len(RETURNS)))
    apart[0, :2] = 1.5, -1.5
    together = np.abs(apart)
    assert profile.distances(apart)[0] > 2 * profile.distances(together)[0]


def test_too_few_samples_or_logs_give_no_profile() -> None:
    assert fit_profile("range", *drawn(0, groups=20, each=1)) is None
    assert fit_profile("range", *drawn(0, groups=4, each=40)) is None


def test_a_profile_comes_back_from_json_as_it_was() -> None:
    profile = fitted()
    back = from_plain(json.loads(json.dumps(to_plain([profile]))))["range"]
    rows, _ = drawn(3)
    np.testing.assert_allclose(back.distances(rows), profile.distances(rows), rtol=0.02)
    assert (back.samples, back.groups) == (120, 20)
    assert back.limit == pytest.approx(profile.limit, rel=1e-3)


def test_features_of_another_version_are_left_out() -> None:
    plain = to_plain([fitted()])
    plain["range"]["features"][0] = "something else"
    assert from_plain(plain) == {}


@pytest.mark.parametrize(
    "damage",
    [
        {"mean": [0.0]},
        {"std": [0.0] * len(RETURNS)},
        {"limit": float("nan")},
        {"correlation": [5.0] * (len(RETURNS) * (len(RETURNS) + 1) // 2)},
        {"correlation": [0.0] * (len(RETURNS) * (len(RETURNS) + 1) // 2)},
        {"samples": "many"},
    ],
)
def test_a_damaged_profile_is_named(damage: dict[str, object]) -> None:
    plain = to_plain([fitted()])
    plain["range"] |= damage
    with pytest.raises(ValueError, match=r"input_profile\.range"):
        from_plain(plain)
    with pytest.raises(ValueError, match="expected profiles by input"):
        from_plain([])


@given(
    arrays(np.uint8, st.tuples(st.just(3), st.integers(20, 60), st.integers(20, 120))) | st.integers(0, 255),
)
@settings(max_examples=30, deadline=None)
def test_any_picture_has_a_finite_descriptor(image: np.ndarray | int) -> None:
    picture = np.full((3, 32, 64), image, np.uint8) if isinstance(image, int) else image
    described = describe_picture(picture)
    assert described.shape == (len(PICTURE),) == (len(FEATURES["camera"]),)
    assert np.isfinite(described).all()


@given(st.integers(0, 30), st.integers(0, 2**32 - 1))
def test_any_returns_have_a_finite_descriptor_and_none_have_none(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.normal(0, 20, (30, len(RETURN_CHANNELS))).astype(np.float32)
    valid = (np.arange(30) < count).astype(np.float32)
    described = describe_returns(rows, valid)
    assert (described is None) == (count == 0)
    assert described is None or (described.shape == (len(RETURNS),) and bool(np.isfinite(described).all()))
