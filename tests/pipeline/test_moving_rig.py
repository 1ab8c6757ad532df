"""A turning camera whose pictures change their size: a seek equals that part of the whole, live a replay."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from foxglove_schemas_protobuf.FrameTransforms_pb2 import FrameTransforms

from perception.align import Aligner
from perception.align.ledger import Ledger
from perception.autoconfig import complete_config
from perception.config import Config
from perception.logs import Log, decode, open_log
from perception.pipeline.log_source import LogSource, Span
from perception.types import Sample
from tests.small_logs import START_NS, SmallLog, foxglove_schema


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures at 10 Hz that arrive 20 ms late, poses at 8 Hz that arrive up to 200 ms late."""
    rng = random.Random(5)

    def turn(i: int, stamp: int) -> bytes:
        message = FrameTransforms()
        edge = message.transforms.add(parent_frame_id="mount", child_frame_id="camera")
        edge.timestamp.FromNanoseconds(stamp)
        edge.translation.x = rng.random()
        edge.rotation.y, edge.rotation.w = np.sin(i / 20), np.cos(i / 20)
        return message.SerializeToString()

    log = SmallLog().scan(seconds=30.0).calibration(size=(128, 96), seconds=6.0)
    log.image(delay_s=0.02, seconds=2.0).image(delay_s=0.02, seconds=2.0, start_s=2.0, size=(32, 24))
    log.image(delay_s=0.02, seconds=1.0, start_s=28.0)  # after a silence longer than what a seek reads
    log.transforms(edges=(("base", "mount"), ("base", "laser")), seconds=1.0)
    log.stream("/tf_late", foxglove_schema(FrameTransforms), "protobuf", turn, hz=8.0, seconds=30.0)
    log.rows = [(at + rng.randrange(200_000_000) * (t == "/tf_late"), t, *rest) for at, t, *rest in log.rows]
    return log.write(tmp_path_factory.mktemp("moving") / "turn.mcap")


def config_of(log: Log) -> Config:
    config = complete_config(log).config
    assert config.sensors.camera is not None
    camera = config.sensors.camera.model_copy(update={"transforms": ("/tf", "/tf_late")})
    return config.model_copy(
        update={"sensors": config.sensors.model_copy(update={"camera": camera}), "reference": "range"}
    )


def state(sample: Sample) -> tuple[object, ...]:
    """What a plugin can see of the rig."""
    calibration, pose = sample.rig.calibration, sample.rig.camera_from("laser")
    return (
        sample.tick,
        calibration and (calibration.width, calibration.intrinsics.tobytes()),
        None if pose is None else pose.tobytes(),
        sample.issues,
    )


def from_source(log: Log, config: Config, start_ns: int | None = None) -> list[tuple[object, ...]]:
    source = LogSource(log, config, Ledger(start_ns), Span(start_ns))
    return [state(s) for s in source.samples() if start_ns is None or s.tick.log_time_ns >= start_ns]


def test_a_seek_gives_the_rig_of_the_whole_replay(path: Path) -> None:
    with open_log(path) as log:
        config = config_of(log)
        whole = from_source(log, config)
        assert len({pose for _, _, pose, _ in whole}) > 200, "the camera turns"
        for start_s in (0.4, 2.05, 3.0, 19.0, 28.5):
            start_ns = START_NS + round(start_s * 1e9)
            expected = [s for s in whole if s[0].log_time_ns >= start_ns]  # type: ignore[attr-defined]
            assert from_source(log, config, start_ns) == expected


def test_a_live_program_has_the_rig_of_the_replay(path: Path) -> None:
    """Its clock is moved on by a timer between messages, which closes ticks before later poses arrive."""
    rng = random.Random(1)
    with open_log(path) as log:
        config = config_of(log)
        aligner, roles, live = Aligner(config), config.roles(), []
        clock_ns = 0
        for message in log.messages():
            if message.topic not in roles:
                continue
            if clock_ns and rng.random() < 0.7:
                live += aligner.advance(rng.randint(clock_ns, message.log_time_ns))
            clock_ns = message.log_time_ns
            live += aligner.push(decode(message, roles[message.topic]))
        live += aligner.flush()
        assert [state(s) for s in live] == from_source(log, config)
