"""Augmentations keep the sensors consistent, and chance depends on nothing but the seed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from perception.models.preprocess import InputSpec
from perception.models.tensors import RETURN_CHANNELS
from perception.training import Silent
from perception.training.config_file import parse_train_config
from perception.training.data.augmentation import (
    MOST_SMEAR_PX,
    Augmenter,
    photometric,
    sides_unsaid,
    without,
)
from perception.training.data.dataset import Dataset
from perception.training.data.loader import Loader
from perception.training.data.sample_cache import CachedLog
from perception.training.data.splits import report_unsaid_sides
from perception.training.data.training_sample import TrainingSample
from perception.training.train_config import AugmentConfig
from perception.types import HeadSpec, Quantity, heads, register_head
from tests.training.conftest import SHAPE

U, BEARING, RANGE, IN_IMAGE = (RETURN_CHANNELS.index(n) for n in ("u", "bearing", "range_m", "in_image"))
STRENGTHS = ("mirror", "brightness", "contrast", "colour", "gamma", "noise", "blur", "lost_returns")
NOTHING = dict.fromkeys((*STRENGTHS, "range_noise_m", "lost_status", "late", "rig_shift_px"), 0)
NO_DROP = {"camera": 0, "range": 0, "status": 0}


def augmenter(cached: CachedLog, **changes: object) -> Augmenter:
    config = AugmentConfig.model_validate({**NOTHING, "drop": NO_DROP, **changes})
    return Augmenter(config, SHAPE, InputSpec.of(SHAPE, {}))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def same(a: TrainingSample, b: TrainingSample) -> bool:
    pairs = [*zip(a.inputs, b.inputs, strict=True), *zip(a.truth, b.truth, strict=True)]
    return all(np.array_equal(x, y, equal_nan=True) for x, y in pairs)


def test_nothing_configured_changes_nothing(cached: CachedLog) -> None:
    changed = augmenter(cached)(cached.sample(5), rng(), lambda: None)
    assert same(changed, cached.sample(5))


def test_a_mirror_turns_everything_that_has_a_side(cached: CachedLog) -> None:
    before = cached.sample(7)
    after = augmenter(cached).mirrored(cached.sample(7))
    np.testing.assert_array_equal(after.inputs.image, before.inputs.image[:, :, ::-1])
    inside = before.inputs.returns[:, IN_IMAGE] > 0
    assert inside.any()
    np.testing.assert_allclose(after.inputs.returns[inside, U], 128 - before.inputs.returns[inside, U])
    np.testing.assert_array_equal(after.inputs.returns[:, BEARING], -before.inputs.returns[:, BEARING])
    np.testing.assert_array_equal(after.inputs.returns[:, RANGE], before.inputs.returns[:, RANGE])
    np.testing.assert_allclose(after.truth.boxes[:, [0, 2]], 128 - before.truth.boxes[:, [2, 0]])
    np.testing.assert_array_equal(after.truth.distance_m, before.truth.distance_m)
    signs = [1, -1, 1]  # speed, yaw_rate, acceleration
    np.testing.assert_array_equal(after.inputs.status, before.inputs.status * signs)
    np.testing.assert_array_equal(
        after.truth.control, before.truth.control * [-1, 1]
    )  # curvature, acceleration
    np.testing.assert_array_equal(after.truth.measured, before.truth.measured * [-1, 1])


@pytest.fixture
def lane() -> Iterator[HeadSpec]:
    """A further head with an offset to the left and a width."""
    yield register_head(HeadSpec("lane", channels=(Quantity("offset", "m"),), truth=("offset", "width")))
    heads._registered.pop("lane")


def test_a_mirror_turns_the_truth_of_further_heads_that_is_named_odd(
    cached: CachedLog, lane: HeadSpec
) -> None:
    sample = cached.sample(7)
    sample = sample._replace(truth=sample.truth._replace(extra=np.array([0.5, 3.0], np.float32)))
    shape = replace(SHAPE)
    object.__setattr__(shape, "extra_heads", (lane.name,))  # it has no network
    odd = ("curvature", "offset")
    config = AugmentConfig(odd=odd)
    after = Augmenter(config, shape, InputSpec.of(SHAPE, {})).mirrored(sample)
    np.testing.assert_array_equal(after.truth.extra, np.array([-0.5, 3.0], np.float32))
    assert after.truth.extra.dtype == np.float32
    assert sides_unsaid(shape, odd) == ["yaw_rate", "width"]


def test_channels_that_may_have_sides_are_told_with_the_line_that_says_so() -> None:
    class Hears(Silent):
        texts: list[str] = []  # noqa: RUF012

        def message(self, text: str) -> None:
            self.texts.append(text)

    model = {"control": [{"name": "steering_angle", "unit": "rad"}, {"name": "throttle", "unit": ""}]}
    for augment in ({}, {"mirror": 0}, {"odd": ["steering_angle", "yaw_rate"]}):
        report_unsaid_sides(parse_train_config({"model": model, "augment": augment}), Hears())
    (text,) = Hears.texts
    assert "the sign of steering_angle; " in text
    setting = text.partition("--set 'augment.odd=")[2].rstrip("'")
    config = parse_train_config({"model": model, "augment": {"odd": json.loads(setting)}})
    assert not sides_unsaid(config.model_shape(), config.augment.odd)


def test_a_mirror_of_a_mirror_is_the_sample(cached: CachedLog) -> None:
    mirror = augmenter(cached).mirrored
    twice, once = mirror(mirror(cached.sample(3))), cached.sample(3)
    for a, b in zip([*twice.inputs, *twice.truth], [*once.inputs, *once.truth], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_returns_still_lie_on_the_boxes_they_hit_after_a_mirror(cached: CachedLog) -> None:
    """The share of boxes with a return at about their distance inside is the same before and after."""

    def hit(example: TrainingSample) -> int:
        returns = example.inputs.returns[example.inputs.returns[:, IN_IMAGE] > 0]
        return sum(
            bool(
                (
                    (returns[:, U] >= x1) & (returns[:, U] <= x2) & (abs(returns[:, RANGE] - metres) < 2.5)
                ).any()
            )
            for (x1, _, x2, _), metres in zip(example.truth.boxes, example.truth.distance_m, strict=True)
        )

    counts = [hit(cached.sample(i)) for i in range(len(cached))]
    mirrored = [hit(augmenter(cached).mirrored(cached.sample(i))) for i in range(len(cached))]
    assert sum(counts) > 10
    assert counts == mirrored


@pytest.mark.parametrize("everything", [False, True])
def test_dropout_has_its_rate_and_keeps_a_sensor_unless_told(cached: CachedLog, everything: bool) -> None:
    change = augmenter(cached, drop={"camera": 0.5, "range": 0.5, "status": 0.5, "all": everything})
    seen = np.array([change(cached.sample(4), rng(i), lambda: None).inputs.present for i in range(400)])
    kept = 0.5 if everything else 4 / 7
    np.testing.assert_allclose(seen.mean(0), kept, atol=0.09)
    assert (seen.sum(1) == 0).any() == everything


def test_what_is_dropped_is_zeros(cached: CachedLog) -> None:
    for sensor, names in enumerate((("image",), ("returns", "returns_valid"), ("status",))):
        inputs = without(cached.sample(4).inputs, sensor)
        assert inputs.present[sensor] == 0
        assert all(not getattr(inputs, name).any() for name in names)
        assert inputs.present.sum() == 2


def test_light_changes_pixels_but_not_their_places(cached: CachedLog) -> None:
    image = cached.sample(4).inputs.image
    strong = AugmentConfig(brightness=0.5, contrast=0.3, colour=0.2, gamma=0.3, noise=0, blur=0)
    changed = photometric(image, strong, rng(1))
    assert changed.dtype == np.uint8
    assert (changed != image).mean() > 0.5
    assert np.corrcoef(image.ravel(), changed.ravel())[0, 1] > 0.9


def test_noise_is_of_the_strength_that_is_drawn(cached: CachedLog) -> None:
    image = np.full((3, 64, 128), 128, np.uint8)
    only = AugmentConfig(brightness=0, contrast=0, colour=0, gamma=0, noise=20, blur=0)
    spread = [float(photometric(image, only, rng(i)).std()) for i in range(200)]
    assert max(spread) < 21
    assert 4 < np.mean(spread) < 10  # the mean of 20 x^2


def test_a_motion_blurs_along_one_direction_and_keeps_the_light(cached: CachedLog) -> None:
    image = np.zeros((3, 65, 65), np.uint8)
    image[:, 32, 32] = 255
    still = {"brightness": 0, "contrast": 0, "colour": 0, "gamma": 0, "noise": 0, "blur": 0}
    lengths = []
    for i in range(60):
        seen = photometric(image, AugmentConfig(**still, smear=1), rng(i))[0].astype(float)
        assert 220 < seen.sum() < 290  # a point becomes a line of the same light
        y, x = np.nonzero(seen)
        points = np.stack([x - x.mean(), y - y.mean()])
        across, along = np.sqrt(np.linalg.eigvalsh(points @ points.T / len(x)).clip(0))
        assert across < 0.6
        lengths.append(along * np.sqrt(12))
    assert min(lengths) < 4 < 7 < max(lengths) < 1.2 * MOST_SMEAR_PX


def test_lost_returns_are_zeros_and_one_is_left(cached: CachedLog) -> None:
    change = augmenter(cached, lost_returns=1)
    counts = []
    for i in range(60):
        inputs = change(cached.sample(4), rng(i), lambda: None).inputs
        assert not inputs.returns[inputs.returns_valid == 0].any()
        counts.append(int(inputs.returns_valid.sum()))
    assert min(counts) >= 1
    assert len(set(counts)) > 10


def test_a_shifted_rig_moves_returns_together_and_drops_what_leaves_the_image(cached: CachedLog) -> None:
    before = cached.sample(4).inputs
    inside = before.returns[:, IN_IMAGE] > 0
    height, width = before.image.shape[1:]
    left = 0
    for seed in range(8):
        after = augmenter(cached, rig_shift_px=30)(cached.sample(4), rng(seed), lambda: None).inputs
        stays = after.returns[:, IN_IMAGE] > 0
        assert stays.any()
        assert not (stays & ~inside).any()
        shift = after.returns[stays, :2] - before.returns[stays, :2]
        np.testing.assert_allclose(shift, np.broadcast_to(shift[0], shift.shape), atol=1e-4)
        assert abs(shift[0]).max() > 0.1
        u, v = (before.returns[:, :2] + shift[0]).T
        seen = inside & (u >= 0) & (u < width) & (v >= 0) & (v < height)
        edge = np.minimum(np.minimum(abs(u), abs(u - width)), np.minimum(abs(v), abs(v - height))) < 1e-3
        np.testing.assert_array_equal(stays[~edge], seen[~edge])
        assert not after.returns[~stays, :2].any()
        np.testing.assert_array_equal(after.returns[:, BEARING], before.returns[:, BEARING])
        left += int((inside & ~stays).sum())
    assert left


def test_a_late_sensor_is_the_one_before_with_its_age(cached: CachedLog) -> None:
    change = augmenter(cached, late=1)
    seen = set()
    for i in range(20):
        example, earlier = cached.sample(9), cached.sample(8)
        after = change(cached.sample(9), rng(i), lambda: (cached.sample(8), 0.1))
        sensor = int(np.argmax(after.inputs.age_s - example.inputs.age_s))
        assert after.inputs.age_s[sensor] == pytest.approx(earlier.inputs.age_s[sensor] + 0.1, abs=0.02)
        name = ("image", "returns", "status")[sensor]
        np.testing.assert_array_equal(getattr(after.inputs, name), getattr(earlier.inputs, name))
        np.testing.assert_array_equal(after.inputs.image, example.inputs.image)
        seen.add(name)
    assert seen == {"returns", "status"}


def test_the_batch_of_a_step_is_the_same_whoever_asks_and_whenever(cached: CachedLog) -> None:
    dataset = Dataset([cached], [np.arange(len(cached))])
    full = replace(augmenter(cached), config=AugmentConfig())
    whole = Loader(dataset, full, 4, slice(0, 4), seed=5)
    with whole.running(0) as batches:
        first = [next(batches) for _ in range(12)]
    with replace(whole, threads=3).running(9) as batches:
        again = [next(batches) for _ in range(3)]
    for a, b in zip(first[9:], again, strict=True):
        assert a.ids == b.ids
        for x, y in zip([*a.inputs, *a.truth], [*b.inputs, *b.truth], strict=True):
            np.testing.assert_array_equal(x, y)
    with replace(whole, shard=slice(2, 4)).running(9) as batches:
        half = next(batches)
    np.testing.assert_array_equal(half.inputs.image, again[0].inputs.image[2:])


def test_every_sample_is_seen_once_an_epoch(cached: CachedLog) -> None:
    loader = Loader(Dataset([cached], [np.arange(len(cached))]), None, 4, slice(0, 4), seed=5)
    with loader.running(0) as batches:
        places = [place for _ in range(15) for place in next(batches).ids]
    assert sorted(places[:30]) == sorted(places[30:]) == [(0, i) for i in range(30)]
    assert places[:30] != places[30:]
