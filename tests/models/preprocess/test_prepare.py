from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.diagnosis.conformance.samples import drawn_samples, garbage, subsets
from perception.models.checkpoint import DEFAULT_PREPROCESS
from perception.models.config import ModelConfig
from perception.models.preprocess import InputSpec, prepare_inputs, status_array
from perception.types import CameraFrame, Sample, StatusWindow, absent_sample

SPEC = InputSpec(width=64, height=32, returns=48, status=("yaw_rate", "speed"), status_steps=16)


@pytest.fixture(scope="module")
def sample() -> Sample:
    return drawn_samples(1)[0]


def test_a_whole_sample_fills_every_array(sample: Sample) -> None:
    late = replace(
        sample, range=replace(sample.range, age_ms=40.0), status=replace(sample.status, age_ms=-5.0)
    )
    same, inputs = prepare_inputs(late, SPEC)
    assert same is late
    kinds = [(a.shape, a.dtype.name) for a in inputs]
    assert kinds == [
        ((3, 32, 64), "uint8"),
        ((48, 8), "float32"),
        ((48,), "float32"),
        ((16, 2), "float32"),
        ((3,), "float32"),
        ((3,), "float32"),
    ]
    np.testing.assert_array_equal(inputs.present, [1, 1, 1])
    np.testing.assert_allclose(inputs.age_s, [0, 0.04, -0.005], atol=1e-7)
    assert inputs.image.any()
    assert inputs.returns_valid.any()


def test_absent_inputs_are_zeros(sample: Sample) -> None:
    _, whole = prepare_inputs(sample, SPEC)
    for kept, given_sample in subsets(sample):
        _, inputs = prepare_inputs(given_sample, SPEC)
        np.testing.assert_array_equal(
            inputs.present, [float(n in kept) for n in ("camera", "range", "status")]
        )
        for name, fields in (
            ("camera", ("image",)),
            ("range", ("returns", "returns_valid")),
            ("status", ("status",)),
        ):
            for field in fields:
                array = getattr(inputs, field)
                assert np.array_equal(array, getattr(whole, field)) if name in kept else not array.any()
        assert not inputs.age_s[inputs.present == 0].any()


def test_padding_is_all_zeros(sample: Sample) -> None:
    _, inputs = prepare_inputs(absent_sample(sample.tick, "padding"), SPEC)
    assert not any(array.any() for array in inputs)


def test_what_cannot_be_used_is_absent_with_its_reason(sample: Sample) -> None:
    for what, sensor, hopeless, broken in garbage(sample):
        left, inputs = prepare_inputs(broken, SPEC)
        found = getattr(left, sensor)
        if hopeless:
            assert not found.present, what
        if not found.present:
            assert found.reason, what
            assert inputs.present.sum() == 0
        assert np.isfinite(inputs.returns).all()


@given(shade=st.integers(0, 255), encoding=st.sampled_from([".jpg", ".png"]))
@settings(max_examples=20)
def test_a_picture_of_one_colour_is_absent_and_one_with_an_object_is_not(shade: int, encoding: str) -> None:
    """A covered camera: networks see objects in it that are not there."""
    sample = drawn_samples(1)[0]
    assert sample.camera.value is not None
    pixels = np.full((240, 320, 3), shade, np.uint8)
    pixels[..., 1] = 255 - shade
    for shows in (False, True):
        pixels[100:140, 100:140] += np.uint8(80 if shows else 0)
        data = cv2.imencode(encoding, pixels)[1].tobytes()
        frame = replace(sample.camera.value, data=data, format="jpeg" if encoding == ".jpg" else "png")
        left, inputs = prepare_inputs(replace(sample, camera=replace(sample.camera, value=frame)), SPEC)
        assert left.camera.present == shows
        assert ("of one colour" in left.camera.reason) != shows
        assert inputs.present.tolist() == [float(shows), 1, 1]
        assert inputs.image.any() == shows


@pytest.mark.parametrize("shows", [False, True])
def test_the_grey_beside_a_picture_shows_nothing(shows: bool) -> None:
    """Of a tall picture, which fills a part of the input."""
    sample = drawn_samples(1)[0]
    assert sample.camera.value is not None
    pixels = np.full((320, 160, 3), 250, np.uint8)
    pixels[80:240, 40:120] -= np.uint8(80 if shows else 0)
    frame = CameraFrame.from_array(pixels)
    given = replace(sample, camera=replace(sample.camera, value=frame))
    left, _ = prepare_inputs(given, replace(SPEC, stretch=(1.0, 1.0)))
    assert left.camera.present == shows


def test_status_channels_are_found_by_name(sample: Sample) -> None:
    window = sample.status.value
    assert window is not None
    expected = window.values[:, [window.names.index("yaw_rate"), window.names.index("speed")]]
    np.testing.assert_array_equal(status_array(window, SPEC), expected.astype(np.float32))


@given(steps=st.integers(1, 40), seed=st.integers(0, 1000))
def test_windows_of_another_length_are_lined_up_at_their_newest_step(steps: int, seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=(steps, 2))
    found = status_array(StatusWindow(0, ("speed", "yaw_rate"), values), SPEC)
    both = min(steps, 16)
    np.testing.assert_array_equal(found[16 - both :], values[steps - both :, ::-1].astype(np.float32))
    assert np.isnan(found[: 16 - both]).all()


@pytest.mark.filterwarnings("error")
def test_an_unknown_channel_stays_unknown() -> None:
    values = np.array([[1.0], [np.nan], [1e300]])
    found = status_array(StatusWindow(0, ("speed",), values), replace(SPEC, status_steps=3))
    np.testing.assert_array_equal(
        found, np.array([[np.nan, 1], [np.nan, np.nan], [np.nan, np.nan]], np.float32)
    )


def test_a_status_of_other_channels_is_absent(sample: Sample) -> None:
    left, inputs = prepare_inputs(sample, replace(SPEC, status=("torque",)))
    assert inputs.present[2] == 0
    assert left.status.reason == "none of the model's channels is configured (torque)"


def test_threads_give_the_same_arrays(sample: Sample) -> None:
    _, expected = prepare_inputs(sample, SPEC)
    with ThreadPoolExecutor(4) as pool:
        for _, found in pool.map(lambda _: prepare_inputs(sample, SPEC), range(16)):
            assert all(a.tobytes() == b.tobytes() for a, b in zip(expected, found, strict=True))


def test_a_checkpoint_says_how_its_inputs_are_made() -> None:
    config = ModelConfig(input_height=128, input_width=256, returns=64, steps=8)
    spec = InputSpec.of(
        config, {"decode_scale": 4, "interpolation": "linear", "max_range_m": 12.0, "other": 1}
    )
    assert spec == InputSpec(256, 128, 64, tuple(q.name for q in config.status), 8, 12.0, "linear", 4)
    assert InputSpec.of(config, {"max_range_m": 12.0}, 50.0).max_range_m == 50.0
    assert InputSpec.of(config, {}).interpolation == "area"
    assert InputSpec.of(config, DEFAULT_PREPROCESS).interpolation == "auto"


@pytest.mark.parametrize(
    "wrong",
    [
        {"decode_scale": 3},
        {"interpolation": "cubic"},
        {"max_range_m": 0.0},
        {"max_range_m": "far"},
        {"decode_scale": None},
        *({"stretch": limits} for limits in (None, 1.2, "ab", ["1", "2"], [0.8], [0, 1, 2], [[0], 1], {})),
    ],
)
def test_a_wrong_rule_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        InputSpec.of(ModelConfig(), wrong)
