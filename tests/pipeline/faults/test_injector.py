"""Tests of each injected fault on messages of real formats."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.autoconfig import complete_config
from perception.config import Role
from perception.config.fault_plan import EPISODE_NS
from perception.logs import decode, open_log
from perception.models.preprocess import InputSpec, image_pixels
from perception.pipeline.faults import Injector, fault_names, inject, parse_plan
from perception.types import CameraFrame, Decoded, DepthImage, Message, RangeScan, StatusReading, Undecodable
from tests.scripted_scene import write_scene


class Street:
    """The messages of a scripted log over whole episode periods."""

    def __init__(self, path: Path) -> None:
        with open_log(path) as log:
            self.roles: dict[str, Role] = complete_config(log).config.roles()
            self.messages: list[Message] = list(log.messages())
        self._decoded: dict[int, Decoded] = {}
        self.sound = [self.read(m) for m in self.messages]
        self._decoded = {id(m): decoded for m, decoded in zip(self.messages, self.sound, strict=True)}

    def read(self, message: Message | Decoded) -> Decoded:
        """Decode a message; those of the log, which pass unchanged, only once."""
        if not isinstance(message, Message):
            return message
        return self._decoded.get(id(message)) or decode(message, self.roles[message.topic])

    def run(self, *texts: str) -> tuple[list[Decoded], list[Decoded]]:
        """Return the messages that arrive and those that were removed."""
        removed: list[Decoded] = []
        arriving = inject(self.messages, parse_plan(texts), self.roles, removed.append)
        return [self.read(m) for m in arriving], removed

    def changed(self, text: str) -> list[tuple[Decoded, Decoded]]:
        """Return pairs of a sensor's recorded and arriving messages, matched by their source."""
        found, _ = self.run(text)
        sensor = text.split(".")[0]
        after = {id(m.source): m for m in found if self.roles[m.topic] == sensor}
        before = {id(raw.data): m for raw, m in zip(self.messages, self.sound, strict=True)}
        return [(before[key], m) for key, m in after.items()]


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Street:
    """8 s from the beginning of an episode period, so that shares are exact."""
    path = tmp_path_factory.mktemp("street") / "street.mcap"
    return Street(write_scene(path, seed=3, duration_s=8.0, image_size=(64, 32)))


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Street:
    path = tmp_path_factory.mktemp("street") / "short.mcap"
    return Street(write_scene(path, seed=3, duration_s=3.0, image_size=(64, 32)))


def of(kind: type, messages: Sequence[Decoded]) -> list[Decoded]:
    return [m for m in messages if isinstance(m, kind)]


def picture(frame: Decoded) -> np.ndarray:
    assert isinstance(frame, CameraFrame)
    return image_pixels(frame, InputSpec(width=frame.width, height=frame.height)).astype(float)


def detail(frame: Decoded) -> float:
    """Return the mean difference of neighbouring pixels."""
    return float(np.abs(np.diff(picture(frame), axis=2)).mean())


def test_without_faults_the_same_objects_pass(street: Street) -> None:
    assert list(inject(street.messages, parse_plan(["camera.blur=0"]), street.roles)) == street.messages


@settings(max_examples=25, deadline=None)
@given(
    names=st.lists(st.sampled_from(fault_names()), min_size=1, max_size=4, unique=True),
    severity=st.floats(0.05, 1.0),
    seed=st.integers(0, 3),
)
def test_every_message_arrives_once_or_is_removed_and_arrivals_are_ordered(
    short: Street, names: list[str], severity: float, seed: int
) -> None:
    texts = [f"{name}={severity},seed={seed}" for name in names]
    found, removed = short.run(*texts)
    assert len(found) + len(removed) == len(short.messages)
    times = [m.log_time_ns for m in found]
    assert times == sorted(times)
    plan = parse_plan(texts)
    longest = max(plan.delay_ns(sensor) for sensor in ("camera", "range", "status"))
    assert times[-1] <= short.messages[-1].log_time_ns + longest
    untouched = [m for m in found if short.roles[m.topic] not in ("camera", "range", "status")]
    assert [m.source for m in untouched] == [
        m.source for m in short.sound if short.roles[m.topic] not in ("camera", "range", "status")
    ]


def test_messages_are_held_only_for_their_delay(street: Street) -> None:
    injector = Injector(parse_plan(["all.latency=1", "all.jitter=1"]), street.roles)
    waiting = most = 0
    for message in street.messages:
        waiting += 1 - len(injector.push(message))
        most = max(most, waiting)
    busiest = max(
        sum(m.log_time_ns - 900_000_000 <= other.log_time_ns <= m.log_time_ns for other in street.messages)
        for m in street.messages[::7]
    )
    assert 0 < most <= busiest
    assert len(injector.flush()) == waiting


def test_blackout_frames_are_black_for_the_severity_s_share(street: Street) -> None:
    pairs = street.changed("camera.blackout=0.25,seed=1")
    black = [picture(after).max() < 8 for _, after in pairs]
    assert abs(np.mean(black) - 0.25) < 0.08
    assert not any(picture(before).max() < 8 for before, _ in pairs)


def test_a_frozen_picture_repeats_with_new_stamps(street: Street) -> None:
    pairs = street.changed("camera.freeze=0.5,seed=2")
    assert [a.stamp_ns for _, a in pairs] == [b.stamp_ns for b, _ in pairs]
    still = [i for i in range(1, len(pairs)) if pairs[i][1].data == pairs[i - 1][1].data]
    assert abs(len(still) / len(pairs) - 0.5) < 0.1
    longest = max(b.log_time_ns - a.log_time_ns for a, b in ((pairs[i - 1][1], pairs[i][1]) for i in still))
    assert longest < EPISODE_NS


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("camera.blur=0.8", lambda before, after: detail(after) < 0.8 * detail(before)),
        ("camera.noise=0.5", lambda before, after: detail(after) > detail(before) + 15),
        (
            "camera.dirt=0.5",
            lambda before, after: (
                0.3 < np.mean(np.abs(picture(after) - picture(before)).max(axis=0) > 25) < 0.7
            ),
        ),
        (
            "camera.exposure=1",
            lambda before, after: not 0.6 < picture(after).mean() / picture(before).mean() < 1.4,
        ),
    ],
)
def test_a_picture_fault_changes_every_picture(
    street: Street, text: str, holds: Callable[[Decoded, Decoded], bool]
) -> None:
    pairs = street.changed(text)
    assert len(pairs) == len(of(CameraFrame, street.sound))
    assert all(holds(before, after) for before, after in pairs[::8])
    assert all((a.width, a.height, a.stamp_ns) == (b.width, b.height, b.stamp_ns) for a, b in pairs)


def test_a_picture_that_does_not_decode_passes_unchanged(street: Street) -> None:
    frame = next(m for m in street.sound if isinstance(m, CameraFrame))
    broken = CameraFrame(
        frame.topic, frame.stamp_ns, frame.log_time_ns, "camera", b"\xff\xd8no", "jpeg", 64, 32
    )
    (found,) = Injector(parse_plan(["camera.noise=1"]), street.roles).push(broken)
    assert found.data == broken.data


def ranges(scan: Decoded) -> np.ndarray:
    assert isinstance(scan, RangeScan)
    return np.linalg.norm(scan.points_m, axis=1)


def test_range_faults_scale_with_severity(street: Street) -> None:
    lost, off, spread = [], [], []
    for before, after in street.changed("range.dropout=0.3,seed=4"):
        seen = np.isfinite(ranges(before))
        lost.append(np.mean(~np.isfinite(ranges(after)[seen])))
        assert np.array_equal(
            ranges(after)[np.isfinite(ranges(after))], ranges(before)[np.isfinite(ranges(after))]
        )
    assert abs(np.mean(lost) - 0.3) < 0.02
    for before, after in street.changed("range.bias=0.5"):
        off.append(np.nanmean(ranges(after) - ranges(before)))
    assert np.allclose(off, 1.0, atol=1e-3)
    for before, after in street.changed("range.noise=0.2"):
        seen = np.isfinite(ranges(before))
        spread.append(np.std((ranges(after) - ranges(before))[seen]))
    assert abs(np.mean(spread) - 0.2) < 0.02


@pytest.mark.parametrize("severity", [0.1, 0.4, 1.0])
def test_a_lost_sector_is_contiguous_ahead_and_constant(street: Street, severity: float) -> None:
    lost, left = [], []
    for before, after in street.changed(f"range.sector_loss={severity},seed=3"):
        seen = np.isfinite(ranges(before))
        bearing = np.rad2deg(np.arctan2(before.points_m[:, 1], before.points_m[:, 0]))[seen]
        gone = ~np.isfinite(ranges(after))[seen]
        lost.append(bearing[gone])
        left.append(bearing[~gone])
    low, high = np.concatenate(lost).min(), np.concatenate(lost).max()
    kept = np.concatenate(left)
    assert not ((low < kept) & (kept < high)).any()
    assert high - low <= 360 * severity + 1
    assert low < 60 + 180 * severity
    assert high > -60 - 180 * severity
    assert severity < 1 or all(
        not np.isfinite(ranges(a)).any() for _, a in street.changed("range.sector_loss=1")
    )


def test_status_faults_scale_with_severity(street: Street) -> None:
    recorded = of(StatusReading, street.sound)
    recorded = [m for m in recorded if street.roles[m.topic] == "status"]
    _, removed = street.run("status.silence=0.5")
    assert abs(len(removed) / len(recorded) - 0.5) < 0.03
    assert {m.topic for m in removed} == {recorded[0].topic}
    pairs = street.changed("status.freeze=0.5")
    still = [pairs[i][1].values == pairs[i - 1][1].values for i in range(1, len(pairs))]
    assert abs(np.mean(still) - 0.5) < 0.05
    for before, after in street.changed("status.offset=0.25,seed=1"):
        off = {name: after.values[name] - value for name, value in before.values.items()}
        assert np.allclose(np.abs(list(off.values())), 0.25)
    signs = {
        round(next(iter(a.values.values())) - next(iter(b.values.values())), 6)
        for b, a in street.changed("status.offset=0.25,seed=1")
    }
    assert len(signs) == 1


def test_transport_faults_scale_with_severity(street: Street) -> None:
    late = [(a.log_time_ns - b.log_time_ns) / 1e6 for b, a in street.changed("range.latency=0.2")]
    assert set(late) == {100.0}
    delays = [(a.log_time_ns - b.log_time_ns) / 1e6 for b, a in street.changed("camera.jitter=0.1")]
    assert min(delays) >= 0
    assert max(delays) <= 40
    assert 15 < np.mean(delays) < 25
    ahead = [(a.stamp_ns - b.stamp_ns) / 1e6 for b, a in street.changed("status.clock_offset=0.5")]
    assert set(ahead) == {100.0}
    found, _ = street.run("range.reordering=0.5")
    stamps = np.array([m.stamp_ns for m in of(RangeScan, found)])
    assert (np.diff(stamps) < 0).mean() > 0.1
    assert sorted(stamps) == [m.stamp_ns for m in of(RangeScan, street.sound)]
    found, _ = street.run("status.jitter=1")
    statuses = [m.stamp_ns for m in found if street.roles[m.topic] == "status"]
    assert statuses == sorted(statuses)


def test_loss_and_corruption_affect_their_share_of_messages(street: Street) -> None:
    recorded = sum(street.roles[m.topic] == "status" for m in street.messages)
    _, removed = street.run("status.loss=0.3,seed=9")
    assert abs(len(removed) / recorded - 0.3) < 0.07
    found, _ = street.run("all.corruption=0.4,seed=9")
    assert len(found) == len(street.messages)
    hurt = [m for m in found if isinstance(m, Undecodable)]
    assert {street.roles[m.topic] for m in hurt} <= {"camera", "range", "status"}
    share = len(hurt) / sum(street.roles[m.topic] in ("camera", "range", "status") for m in street.messages)
    assert 0.1 < share < 0.4  # some of the damaged can still be read


def test_a_backward_clock_jump_releases_held_messages(street: Street) -> None:
    injector = Injector(parse_plan(["all.latency=1", "camera.freeze=1"]), street.roles)
    first, again = [], []
    for message in street.messages:
        first += injector.push(message)
    for message in street.messages[:40]:
        again += injector.push(message)
    assert len(first) + len(again) + len(injector.flush()) == len(street.messages) + 40
    late = [m for m in again if m.log_time_ns > street.messages[40].log_time_ns + 500_000_000]
    assert len(first) + len(late) == len(street.messages)


def depth_image(value_m: float = 5.0) -> DepthImage:
    return DepthImage("/depth", 7, 9, "camera", np.full((40, 60), value_m, np.float32))


def test_range_faults_act_on_a_depth_image() -> None:
    def faulty(kind: str, severity: float) -> np.ndarray:
        plan = parse_plan([f"range.{kind}={severity}"])
        (found,) = Injector(plan, {"/depth": "range"}).push(depth_image())
        assert isinstance(found, DepthImage)
        return found.depth_m

    np.testing.assert_allclose(faulty("bias", 0.5), 6.0)
    noisy = faulty("noise", 0.2)
    assert (noisy.mean(), noisy.std()) == (pytest.approx(5.0, abs=0.02), pytest.approx(0.2, rel=0.1))
    assert np.isnan(faulty("dropout", 0.3)).mean() == pytest.approx(0.3, abs=0.05)
    lost = np.isnan(faulty("sector_loss", 0.25))
    columns = np.flatnonzero(lost.all(axis=0))
    assert lost.any(axis=0).sum() == len(columns) == 15
    assert (np.diff(columns) == 1).all()
    assert np.isnan(faulty("sector_loss", 1.0)).all()
