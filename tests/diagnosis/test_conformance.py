"""The conformance check passes a sound plugin, and reports each violation of the contract."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from perception.diagnosis.conformance import CHECKS, Check, check_plugin
from perception.diagnosis.conformance.plugin_trial import same_bits
from perception.diagnosis.conformance.samples import drawn_samples, garbage, subsets
from perception.plugin import Context, Prepared
from perception.types import SENSORS
from tests.third_party.install import install_manifests

BROKEN = {
    "RaisesInStep": ("gives one valid output for each sample", "RuntimeError: out of cheese"),
    "RaisesLater": ("gives one valid output for each sample", "ZeroDivisionError: the fifth"),
    "GivesNone": ("gives one valid output for each sample", "step returned NoneType"),
    "WrongNumber": ("gives one valid output for each sample", "given 1 samples and returned 2 outputs"),
    "WrongTick": ("gives one valid output for each sample", "the tick is another one"),
    "NanBox": ("gives one valid output for each sample", "not four finite numbers"),
    "SwappedBox": ("gives one valid output for each sample", "not ordered"),
    "ScoreInPercent": ("gives one valid output for each sample", "score 50.0 is not within 0 to 1"),
    "NoSpread": ("gives one valid output for each sample", "std 0.0 is not positive"),
    "NumpyNumbers": ("gives one valid output for each sample", "not a finite number"),
    "RestsOnTheAbsent": ("works with any subset of sensors", "status is absent from this sample"),
    "NoControl": ("gives one valid output for each sample", "control: missing"),
    "NeverControl": ("gives the heads it promises", "head control was never valid: not today"),
    "NeedsTheCamera": ("works with any subset of sensors", "with range, status: raised AssertionError"),
    "TrustsTheImage": ("takes broken inputs for absent ones", "ValueError: cannot decode"),
    "BelievesGarbage": ("takes broken inputs for absent ones", "though camera was all there was"),
    "ReadsTheClock": ("is deterministic", "differs at tick 0 in control"),
    "FeelsTheDelay": ("does not read the clock", "a slower run differs at tick 0 in control"),
    "Counts": ("remembers no longer than preroll_s", "differs at tick 2 in control"),
    "Prints": ("prints nothing", "printed 'Loading weights ...'"),
    "NeverForgets": ("forgets at a reset", "a run after a reset differs at tick 0"),
    "SharesItsCount": ("shares no state", "differs"),
    "CountsInPrepare": ("prepares in any thread", "another payload from a thread"),
    "ChangesTheSample": ("prepares in any thread", "changed the sample"),
    "LooksAhead": ("works in batches", "the first output depends on the samples after it"),
    "SubsetsInAnotherOrder": ("answers on several subsets as on one", "with camera, range, status: "),
    "TooFewSubsets": ("answers on several subsets as on one", "given 8 subsets and returned 7 outputs"),
    "CountsInInfer": ("infers in any thread", "gave another payload from a thread"),
    "InfersAnotherAnswer": ("infers in any thread", "a run with infer differs at tick 0 in control"),
    "InfersTooFew": ("infers in any thread", "given 1 sample and returned 0"),
    "CannotClose": ("opens and closes", "RuntimeError: already gone"),
    "ClosesOnlyWhatItOpened": ("fails to open politely", "FileNotFoundError"),
}

MANIFEST = """
api: 1
factory: broken_plugins_code:{code}
inputs: [camera, range, status]
heads: [class, box, control]
max_batch: 4
"""


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("broken")
    install_manifests(
        {code: MANIFEST.format(code=code) for code in ("Sound", "SoundOnSubsets", "SoundAndInfers", *BROKEN)},
        target,
    )
    return target


@cache
def checks_of(name: str) -> list[Check]:
    return check_plugin(name)


def failed(name: str) -> dict[str, str]:
    return {check.name: check.violation for check in checks_of(name) if not check.passed}


def test_a_real_plugin_passes_every_check(third_party: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(third_party))
    checks = check_plugin("blob_detector")
    assert [check for check in checks if not check.passed] == []
    assert len(checks) == len(CHECKS) + 2


@pytest.mark.parametrize("name", ["Sound", "SoundOnSubsets", "SoundAndInfers"])
def test_a_sound_plugin_passes_every_check(name: str, broken: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(broken))
    assert failed(name) == {}


@pytest.mark.parametrize("name", BROKEN)
def test_each_violation_is_found(name: str, broken: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(broken))
    check, says = BROKEN[name]
    faults = failed(name)
    assert check in faults, faults
    assert says in faults[check]


@pytest.mark.parametrize("name", BROKEN)
def test_advice_is_given_only_where_it_is_needed(
    name: str, broken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(broken))
    for check in checks_of(name):
        assert bool(check.advice) == bool(check.violation)


def test_only_the_broken_point_fails(broken: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(broken))
    for name in ("NeverForgets", "LooksAhead", "NeverControl", "NoSpread", "Counts"):
        own = BROKEN[name][0]
        others = {check for check in failed(name) if check != own}
        expected = {
            "NeverForgets": {"remembers no longer than preroll_s", "works in batches"},
            "NoSpread": {
                "works with any subset of sensors",
                "works in batches",
                "takes broken inputs for absent ones",
            },
        }
        assert others <= expected.get(name, set()), (name, others)


@pytest.mark.parametrize(
    ("preroll", "passes"), [("0.5", False), ("1.5", False), ("2.0", True), ("null", True)]
)
def test_a_memory_must_be_declared_in_full(
    preroll: str, passes: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = MANIFEST.format(code="RemembersTwoSeconds") + f"preroll_s: {preroll}\n"
    install_manifests({"two_seconds": text}, tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    faults = {check.name for check in check_plugin("two_seconds") if not check.passed}
    assert faults == (set() if passes else {"remembers no longer than preroll_s"})


def test_a_plugin_that_is_not_installed_fails_to_load() -> None:
    (check,) = check_plugin("no_such_plugin")
    assert not check.passed
    assert "no plugin 'no_such_plugin' is installed" in check.violation


def test_given_samples_and_context_are_used(third_party: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(third_party))
    samples = drawn_samples(8, status=("speed", "acceleration"), steps=4)
    assert all(
        c.passed for c in check_plugin("blob_detector", samples, Context(status=("speed", "acceleration")))
    )
    blind = [sample.with_absent({"camera": "broken"}) for sample in samples]
    faults = {c.name: c.violation for c in check_plugin("blob_detector", blind) if not c.passed}
    assert "head class was never valid: broken" in faults["gives the heads it promises"]


def test_drawn_samples_are_what_they_say() -> None:
    import cv2

    samples = drawn_samples(5)
    for index, sample in enumerate(samples):
        assert sample.tick.index == index
        assert all(i.present for i in sample.inputs)
        frame = sample.camera.value
        assert frame is not None
        assert cv2.imdecode(np.frombuffer(frame.data, np.uint8), 1).shape == (frame.height, frame.width, 3)
        assert sample.rig.camera_from("scanner") is not None
    kept = [names for names, _ in subsets(samples[0])]
    assert len(set(kept)) == 8
    assert kept[0] == SENSORS
    assert kept[-1] == ()
    for _, sensor, _, sample in garbage(samples[0]):
        assert [i.name for i in sample.inputs if i.present] == [sensor]


def test_the_blobs_are_found_where_they_are_drawn(third_party: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(third_party))
    from perception.plugin import load_plugin

    plugin = load_plugin("blob_detector")
    plugin.open(Context(status=("speed", "yaw_rate", "acceleration")))
    sample = drawn_samples(3)[2]
    (output,) = plugin.step([plugin.prepare(sample)])
    assert output.detections is not None
    (item,) = output.detections.items
    assert item.distance_m == pytest.approx(12.0 - 0.4, abs=0.3)
    centre = 160 - 200 * 1.8 / 11.6
    assert (item.xyxy[0] + item.xyxy[2]) / 2 == pytest.approx(centre, abs=2)


class Bag(tuple[int, ...]):
    pass


@pytest.mark.parametrize(
    ("a", "b", "equal"),
    [
        (np.array([1.0, np.nan]), np.array([1.0, np.nan]), True),
        (np.array([1.0]), np.array([1.0], np.float32), False),
        (np.zeros((2, 1)), np.zeros((1, 2)), False),
        (float("nan"), float("nan"), True),
        (0.0, -0.0, False),
        ({"a": [1, (2.0,)]}, {"a": [1, (2.0,)]}, True),
        ({"a": 1}, {"a": 2}, False),
        ([1], [1, 2], False),
        (1, 1.0, False),
        (Prepared(drawn_samples(1)[0], np.ones(2)), Prepared(drawn_samples(1)[0], np.ones(2)), True),
        (Prepared(drawn_samples(1)[0], np.ones(2)), Prepared(drawn_samples(1)[0], np.zeros(2)), False),
        (object(), object(), True),
    ],
)
def test_payloads_are_compared_bit_for_bit(a: object, b: object, equal: bool) -> None:
    assert same_bits(a, b) is equal
