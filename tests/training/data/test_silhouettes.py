"""Objects are cut out along their outlines, in their own proportions, or not at all."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from perception.models.tensors import Inputs
from perception.training.data.dataset import Dataset
from perception.training.data.silhouettes import SHARES, cut_silhouettes, silhouette
from perception.training.data.training_sample import SampleId, SampleTruth, TrainingSample

WIDTH, HEIGHT = 128, 64


def scene(
    seed: int, size: tuple[int, int], half: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return a red ellipse on a mottled green ground, and where it is."""
    rng = np.random.default_rng(seed)
    width, height = size
    image = np.full((height, width, 3), (60, 120, 70), np.uint8)
    x, y = width // 2, height // 2
    mask = np.zeros((height, width), np.uint8)
    cv2.ellipse(mask, (x, y), half, 0, 0, 360, 1, -1)
    image[mask > 0] = (190, 40, 50)
    noise = cv2.GaussianBlur(rng.normal(0, 40, image.shape).astype(np.float32), (5, 5), 0)
    return (image + noise).clip(0, 255).astype(np.uint8), mask > 0


@given(seed=st.integers(0, 1000), half=st.tuples(st.integers(10, 40), st.integers(15, 50)))
@settings(max_examples=12, deadline=None)
def test_the_outline_of_an_object_is_found(seed: int, half: tuple[int, int]) -> None:
    image, mask = scene(seed, (160, 160), half)
    box = np.array([80 - half[0], 80 - half[1], 81 + half[0], 81 + half[1]], float)
    opacity = silhouette(image, box)
    assert opacity is not None
    found = opacity > 0.5
    assert (found & mask).sum() / (found | mask).sum() > 0.85


def test_a_speck_of_the_same_colour_is_no_part_of_the_object() -> None:
    image, mask = scene(1, (160, 160), (30, 45))
    cv2.circle(image, (55, 41), 5, (190, 40, 50), -1)  # in a corner of the box
    opacity = silhouette(image, np.array([50.0, 35, 111, 126]))
    assert opacity is not None
    assert opacity[36:47, 50:60].max() < 0.5
    assert ((opacity > 0.5) & mask).sum() > 0.9 * mask.sum()


def test_what_has_no_outline_is_not_cut_out() -> None:
    flat = np.full((80, 80, 3), 120, np.uint8)
    assert silhouette(flat, np.array([20.0, 20, 60, 60])) is None
    image, _ = scene(0, (160, 160), (20, 30))
    assert silhouette(image, np.array([70.0, 70, 90, 90])) is None  # all of the box is object
    assert silhouette(image, np.array([0.0, 0, 160, 160])) is None  # nothing is known background
    assert silhouette(image, np.array([20.0, 20, 140, 140])) is None  # the outline fills a part of the box


class Pictures:
    """Three pictures of a camera of 4:3, as the model sees them: 1.5 times as wide."""

    def __init__(self) -> None:
        self.pictures = np.array([0, 1, 2, 2])
        self.samples = [self._sample(seed) for seed in range(3)]

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> TrainingSample:
        return self.samples[self.pictures[index]]

    def _sample(self, seed: int) -> TrainingSample:
        round_one, _ = scene(seed, (320, 240), (75, 75))
        image = cv2.resize(round_one, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA).transpose(2, 0, 1)
        scale = np.array([WIDTH / 320, HEIGHT / 240] * 2)
        boxes = np.array([[85, 45, 236, 196], [10, 10, 20, 20]]) * scale
        truth = SampleTruth(
            labels=np.array([3, 0]),
            boxes=boxes.astype(np.float32),
            distance_m=np.full(2, np.nan, np.float32),
            visible=np.ones(2, np.float32),
            boxes_known=np.float32(1),  # type: ignore[arg-type]
            control=np.full(2, np.nan, np.float32),
            measured=np.full(2, np.nan, np.float32),
            source_size=np.array([320, 240], np.float32),
        )
        present = np.array([1, 0, 0], np.float32)
        empty = np.zeros((1, 8), np.float32)
        inputs = Inputs(image, empty, empty[:, 0], empty, present, np.zeros(3, np.float32))
        return TrainingSample(inputs, truth, SampleId(0, seed))


def test_objects_keep_their_proportions_and_fill_their_cuttings() -> None:
    (found,) = cut_silhouettes(cast(Dataset, Pictures()), seed=1)
    assert len(found) == 3  # each picture once; the small box is not cut out
    for cutting in found:
        assert cutting.label == 3
        assert cutting.pixels.shape == (*cutting.opacity.shape, 3)
        height, width = cutting.opacity.shape
        assert width / height == pytest.approx(1, abs=0.12)  # a disc is round
        assert (cutting.opacity > 0.5).mean() == pytest.approx(np.pi / 4, abs=0.08)
        for edge in (cutting.opacity[0], cutting.opacity[-1], cutting.opacity[:, 0], cutting.opacity[:, -1]):
            assert edge.max() > 0.5
        assert np.median(cutting.pixels[cutting.opacity == 1], axis=0)[0] > 150


def test_a_seed_gives_the_same_objects_and_no_more_than_asked_for() -> None:
    dataset = cast(Dataset, Pictures())
    (first,), (again,) = (cut_silhouettes(dataset, seed=4) for _ in range(2))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a.opacity, b.opacity)
    assert [len(same) for same in cut_silhouettes(dataset, seed=4, most=1)] == [1]
    assert SHARES[0] < np.pi / 4 < SHARES[1]
