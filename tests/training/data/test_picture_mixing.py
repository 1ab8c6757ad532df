"""Mosaics, zoom and pasted objects of labelled pictures: boxes stay on what they are boxes of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from perception.models.preprocess import InputSpec
from perception.models.tensors import Inputs
from perception.training.data.augmentation import Augmenter, too_hard
from perception.training.data.dataset import Dataset
from perception.training.data.loader import Loader
from perception.training.data.object_pasting import (
    MOST_OUTSIDE,
    RENDERED,
    Cutting,
    Piece,
    cut_out,
    varied,
    with_objects,
)
from perception.training.data.picture_mixing import as_picture, is_picture, mixed_picture
from perception.training.data.sample_cache import CachedLog
from perception.training.data.training_sample import (
    IGNORED,
    IGNORED_FOR_CLASS,
    SampleId,
    SampleTruth,
    TrainingSample,
)
from perception.training.train_config import AugmentConfig, DropConfig, PictureConfig
from tests.training.conftest import SHAPE

HEIGHT, WIDTH = 64, 128
COLOURS = np.array([[250, 20, 20], [20, 250, 20], [20, 20, 250]], np.uint8)
MOSAIC = PictureConfig(mosaic=1, zoom=1.4)
ZOOM = PictureConfig(zoomed=1, zoom=2)


def picture(*boxes: tuple[int, tuple[int, int, int, int]], visible: float = 1.0) -> TrainingSample:
    """Return a grey picture with a rectangle in the colour of its class for each box."""
    image = np.full((3, HEIGHT, WIDTH), 90, np.uint8)
    for label, (x1, y1, x2, y2) in boxes:
        image[:, y1:y2, x1:x2] = COLOURS[label][:, None, None]
    inputs = Inputs(
        image=image,
        returns=np.zeros((4, 8), np.float32),
        returns_valid=np.zeros(4, np.float32),
        status=np.zeros((2, 3), np.float32),
        present=np.array([1, 0, 0], np.float32),
        age_s=np.zeros(3, np.float32),
    )
    truth = SampleTruth(
        labels=np.array([label for label, _ in boxes], np.int64),
        boxes=np.array([box for _, box in boxes], np.float32).reshape(-1, 4),
        distance_m=np.full(len(boxes), 7, np.float32),
        visible=np.full(len(boxes), visible, np.float32),
        boxes_known=np.float32(1),
        control=np.full(2, np.nan, np.float32),
        measured=np.full(2, np.nan, np.float32),
        source_size=np.array([640, 480], np.float32),
        complete=np.ones(3, np.float32),
    )
    return TrainingSample(inputs, truth, SampleId(0, 0))


def coloured_share(sample: TrainingSample, index: int) -> float:
    """Return the share of the pixels in a box that have about the colour of its class."""
    x1, y1, x2, y2 = sample.truth.boxes[index].round().astype(int)
    inside = sample.inputs.image[:, y1:y2, x1:x2].astype(int)
    away = abs(inside - COLOURS[sample.truth.labels[index]].astype(int)[:, None, None]).max(0)
    return float((away < 60).mean())


TWO = picture((0, (20, 10, 60, 40)), (1, (80, 20, 120, 60)))
OTHER = picture((2, (30, 16, 100, 56)))


@given(seed=st.integers(0, 10_000), config=st.sampled_from([MOSAIC, ZOOM]))
@settings(max_examples=25, deadline=None)
def test_boxes_lie_on_their_objects_and_name_what_is_cut_off(seed: int, config: PictureConfig) -> None:
    mixed = mixed_picture(TWO, config, np.random.default_rng(seed), lambda rng: OTHER)
    truth = mixed.truth
    assert mixed.inputs.image.shape == TWO.inputs.image.shape
    assert mixed.inputs.image.max(0).min() > 60  # cells cover the whole image
    assert (truth.boxes[:, :2] >= 0).all()
    assert (truth.boxes[:, 2:] <= [WIDTH, HEIGHT]).all()
    assert np.isnan(truth.distance_m).all()
    assert ((truth.visible > 0) & (truth.visible <= 1 + 1e-5)).all()
    for index, (x1, y1, x2, y2) in enumerate(truth.boxes):
        if min(x2 - x1, y2 - y1) >= 8:  # else rounding to pixels is much of the box
            assert coloured_share(mixed, index) > 0.6


def test_a_zoomed_box_says_how_much_of_it_is_left() -> None:
    """The whole area of a box, from what is seen of it and the fraction, is the same for every crop."""
    wide = PictureConfig(zoomed=1, zoom=1)
    seen = []
    for seed in range(30):
        truth = mixed_picture(TWO, wide, np.random.default_rng(seed), lambda rng: OTHER).truth
        area = (truth.boxes[:, 2:] - truth.boxes[:, :2]).prod(1) / truth.visible
        seen += [float(value) for value, label in zip(area, truth.labels, strict=True) if label == 0]
    assert len(seen) > 20
    assert min(seen) >= 0.99 * 40 * 30  # a picture that fills the image is never made smaller
    assert max(seen) <= 40 * 30 * 1.55 * 1.05  # 4:3 shown as 2:1


def test_a_mosaic_holds_objects_smaller_and_is_complete_where_all_are() -> None:
    partial = OTHER._replace(truth=OTHER.truth._replace(complete=np.array([1, 0, 1], np.float32)))
    heights = []
    for seed in range(20):
        mixed = mixed_picture(TWO, MOSAIC, np.random.default_rng(seed), lambda rng: partial)
        np.testing.assert_array_equal(mixed.truth.complete, [1, 0, 1])
        whole = (mixed.truth.labels == 2) & (mixed.truth.visible > 0.95)
        heights += list((mixed.truth.boxes[:, 3] - mixed.truth.boxes[:, 1])[whole])
    assert len(heights) > 10
    assert max(heights) < 40  # as in the picture
    assert min(heights) < 20


def pasted_from(donor: TrainingSample, seed: int) -> TrainingSample:
    """Return the picture `TWO` with the object of another sample, if it fits."""
    rng = np.random.default_rng(seed)
    piece = cut_out(donor, rng)
    assert piece is not None
    return with_objects(TWO, [piece], rng)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_a_pasted_object_brings_its_box_and_hides_what_lies_below(seed: int) -> None:
    donor = picture((2, (30, 16, 60, 46)))
    pasted = pasted_from(donor, seed)
    truth = pasted.truth
    if len(truth.labels) == 2:  # it would have hidden too much
        np.testing.assert_array_equal(pasted.inputs.image, TWO.inputs.image)
        return
    assert truth.labels.tolist() == [0, 1, 2]
    x1, y1, x2, y2 = truth.boxes[2].astype(int)
    centre = pasted.inputs.image[:, (y1 + y2) // 2, (x1 + x2) // 2]
    np.testing.assert_allclose(centre, COLOURS[2], atol=2)
    assert np.isnan(truth.distance_m[2])
    for index, (a, b, c, d) in enumerate(TWO.truth.boxes):
        overlap = max(0, min(c, x2) - max(a, x1)) * max(0, min(d, y2) - max(b, y1))
        assert truth.visible[index] == pytest.approx(1 - overlap / ((c - a) * (d - b)), abs=1e-5)
    outside = np.ones((HEIGHT, WIDTH), bool)
    outside[y1:y2, x1:x2] = False
    np.testing.assert_array_equal(pasted.inputs.image[:, outside], TWO.inputs.image[:, outside])


def test_a_box_to_ignore_stays_one_where_a_pasted_object_covers_it() -> None:
    crowd = picture((0, (60, 30, 64, 34)), visible=IGNORED)
    whole = Piece(1, np.zeros((40, 90, 3), np.float32), np.ones((40, 90), np.float32))
    covered = 0
    for seed in range(40):
        pasted = with_objects(crowd, [whole], np.random.default_rng(seed)).truth
        x1, y1, x2, y2 = pasted.boxes[1]
        covered += x1 <= 60 and y1 <= 30 and x2 >= 64 and y2 >= 34
        assert too_hard(pasted, 0.0, 0.0).tolist() == [True, False]
        assert pasted.visible.dtype == np.float32
    assert covered > 5


def test_a_region_that_is_cut_off_stays_a_region_of_its_kind() -> None:
    for marked in (IGNORED, IGNORED_FOR_CLASS):
        crowd = picture((0, (10, 10, 120, 60)), visible=marked)
        for seed in range(8):
            mixed = mixed_picture(crowd, MOSAIC, np.random.default_rng(seed), lambda _, crowd=crowd: crowd)
            assert set(mixed.truth.visible.tolist()) == {marked}


def test_hidden_objects_and_boxes_to_ignore_are_not_cut_out() -> None:
    for visible in (0.5, -1.0):
        donor = picture((2, (30, 16, 60, 46)), visible=visible)
        for seed in range(5):
            assert cut_out(donor, np.random.default_rng(seed)) is None


def ball(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a blue disc on a white ground, and where it is."""
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    opacity = (x * x + y * y < 1).astype(np.float32)
    return np.where(opacity[..., None] > 0, [0, 0, 200], 255).astype(np.uint8), opacity


@given(seed=st.integers(0, 10_000), size=st.integers(3, 90))
@settings(max_examples=40, deadline=None)
def test_a_rendered_object_brings_its_silhouette_alone_and_may_be_cut_by_the_edge(
    seed: int, size: int
) -> None:
    rng = np.random.default_rng(seed)
    before = picture()
    after = with_objects(before, [varied(Cutting(2, *ball(size)), RENDERED, rng)], rng)
    (x1, y1, x2, y2), visible = after.truth.boxes[0].astype(int), after.truth.visible[0]
    assert (x1 >= 0, y1 >= 0, x2 <= WIDTH, y2 <= HEIGHT) == (True,) * 4
    assert visible >= (1 - MOST_OUTSIDE) ** 2 - 0.35  # whole pixels of small objects
    if (x1 > 0 and x2 < WIDTH) and (y1 > 0 and y2 < HEIGHT):
        assert visible == 1
    changed = after.inputs.image.astype(int) - before.inputs.image
    assert after.inputs.image.min(0).max() <= 90  # nothing of the white ground, at the rim either
    assert not changed[:, : max(y1, 0)].any()
    assert not changed[:, :, :x1].any()
    if min(x2 - x1, y2 - y1) > 20 and visible == 1:  # of small ones every pixel has a part of it
        assert after.inputs.image[:, (y1 + y2) // 2, (x1 + x2) // 2].max() > 90
        assert (changed != 0).any(0).mean() * WIDTH * HEIGHT < 0.95 * (x2 - x1) * (y2 - y1)


def test_a_thing_without_a_class_hides_what_it_covers_and_has_no_box() -> None:
    rng = np.random.default_rng(1)
    labelled = with_objects(picture(), [varied(Cutting(2, *ball(60)), RENDERED, rng)], rng)
    for seed in range(40):
        again = np.random.default_rng(seed)
        found = with_objects(labelled, [varied(Cutting(-1, *ball(60)), RENDERED, again)], again)
        assert found.truth.labels.tolist() == [2]
        np.testing.assert_array_equal(found.truth.boxes, labelled.truth.boxes)
        covered = (found.inputs.image != labelled.inputs.image).any(0)
        x1, y1, x2, y2 = labelled.truth.boxes[0].astype(int)
        assert (found.truth.visible[0] < labelled.truth.visible[0]) == covered[y1:y2, x1:x2].any()


def test_an_object_larger_than_the_picture_is_cut_on_both_sides() -> None:
    shape = (HEIGHT, WIDTH * 2)
    piece = Piece(1, np.full((*shape, 3), 7, np.float32), np.ones(shape, np.float32), 0.3)
    found = with_objects(picture(), [piece], np.random.default_rng(0))
    assert found.truth.labels.tolist() == [1]
    assert found.truth.visible[0] < 0.6
    assert (found.inputs.image == 7).mean() > 0.4


def test_other_samples_do_not_change_with_the_settings_of_pictures(cached: CachedLog) -> None:
    dataset = Dataset([cached], [np.arange(len(cached))])
    plain = AugmentConfig()
    strong = plain.model_copy(update={"pictures": PictureConfig(mosaic=0.5, zoomed=0.5, paste=1)})
    spec = InputSpec.of(SHAPE, {})
    first = Loader(dataset, Augmenter(plain, SHAPE, spec), 4, slice(0, 4), seed=3)
    second = replace(first, augmenter=Augmenter(strong, SHAPE, spec))
    assert not is_picture(dataset[4])
    for position in range(3):
        a, b = first.augmented(4, 7, position), second.augmented(4, 7, position)
        np.testing.assert_array_equal(a.inputs.image, b.inputs.image)
        np.testing.assert_array_equal(a.truth.boxes, b.truth.boxes)


def test_samples_of_drives_may_be_taken_for_pictures(cached: CachedLog) -> None:
    dataset, spec = Dataset([cached], [np.arange(len(cached))]), InputSpec.of(SHAPE, {})
    pictures = PictureConfig(drives=1, zoomed=1, zoom=2)
    config = AugmentConfig(drop=DropConfig(camera=0, range=0, status=0), pictures=pictures)
    loader = Loader(dataset, Augmenter(config, SHAPE, spec), 4, slice(0, 4), seed=3)
    assert dataset[4].inputs.present.all()
    found = [loader.augmented(4, 7, position) for position in range(4)]
    for sample in found:
        assert is_picture(sample)
        assert not sample.inputs.returns.any()
        assert np.isnan(sample.truth.distance_m).all()
        low, high = sample.truth.boxes[:, :2], sample.truth.boxes[:, 2:]
        assert (low >= 0).all()
        assert (high <= [spec.width, spec.height]).all()
    assert any(len(sample.truth.labels) for sample in found)
    assert not np.array_equal(found[0].inputs.image, found[1].inputs.image)
    np.testing.assert_array_equal(found[2].inputs.image, loader.augmented(4, 7, 2).inputs.image)
    blind = as_picture(dataset[4]._replace(truth=dataset[4].truth._replace(boxes_known=np.float32(0))))
    assert blind.inputs.present.all()


def test_a_repeated_log_is_seen_as_often_as_it_says(cached: CachedLog) -> None:
    dataset = Dataset([cached, cached], [np.arange(3), np.arange(2)])
    repeated = dataset.repeated({cached.log.name: 2})
    assert len(repeated) == 10
    assert repeated.ids == [sample for sample in dataset.ids for _ in range(2)]
    assert [log["samples"] for log in repeated.trained_on()] == [3, 2]
    assert dataset.repeated({"another*": 5}).ids == dataset.ids


def test_probabilities_above_one_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"mosaic \+ zoomed: expected at most 1, found 1.2"):
        PictureConfig(mosaic=0.6, zoomed=0.6)
