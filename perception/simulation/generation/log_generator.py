"""Generation of one log: a drive through a scene, measured by every sensor, written in order of arrival."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from perception.errors import LogError, OutputError
from perception.files import create_file
from perception.logs import open_log
from perception.logs.mcap.writer import LogWriter
from perception.logs.perception_proto import SCHEMAS, encode_control, encode_status, encode_truth
from perception.logs.survey import SIMULATED_RECORD
from perception.simulation.generation import messages as wire
from perception.simulation.generation.delivery import EPOCH_NS, Measurement, plan_measurements
from perception.simulation.motion.drive import Drive, simulate_drive
from perception.simulation.scenario import Scenario
from perception.simulation.sensors.camera import Camera, pose_world
from perception.simulation.sensors.lidar import Lidar
from perception.simulation.sensors.optics import Optics, encode_jpeg
from perception.simulation.sensors.status import StatusSensor
from perception.simulation.sensors.truth import truth_boxes
from perception.simulation.world.layout import make_scene
from perception.simulation.world.model import World, build_world
from perception.types import SENSORS, Control, ControlChannel, Schema, Tick

IMAGE, CALIBRATION, TRANSFORMS = "/camera/image", "/camera/calibration", "/tf"
SCAN, STATUS = "/scan", "/vehicle/state"
TRUTH_BOXES, TRUTH_CONTROL = "/truth/detections", "/truth/control"

Record = tuple[int, int, str, Schema, bytes]
"""Log time, rank among records of the same time, topic, schema and payload."""
FrameProgress = Callable[[int, int], None]
"""Called with the numbers of finished frames and of all frames."""


def is_simulated(path: Path, seed: int, scenario: Scenario, duration_s: float) -> bool:
    """Return whether a file is a log that `generate` made of the same seed, scenario and duration."""
    try:
        with open_log(path) as log:
            record = dict(log.survey.metadata).get(SIMULATED_RECORD, {})
    except LogError:
        return False
    return _settings(seed, scenario, duration_s).items() <= dict(record).items()


def _settings(seed: int, scenario: Scenario, duration_s: float) -> dict[str, str]:
    """Return the entries of a log's record that say what was simulated."""
    return {
        "seed": str(seed),
        "duration_s": f"{duration_s:g}",
        "scenario": scenario.model_dump_json(exclude_defaults=True),
    }


def generate(
    path: Path,
    seed: int,
    scenario: Scenario,
    duration_s: float,
    progress: FrameProgress | None = None,
    *,
    ground_px: int = 4096,
) -> None:
    """Simulate one log and write it. The file appears under its name only when it is complete.

    The same seed, scenario, duration and versions give the same bytes.

    Args:
        path: The log to write; an existing one is replaced.
        ground_px: The longer side of the ground's texture; smaller is faster and coarser.

    Raises:
        OutputError: The file cannot be written.
        MissingExtraError, PerceptionError: MuJoCo or OpenGL is missing.
    """
    if path.is_dir():
        raise OutputError(f"a log is a file, found a folder, name a file in it: {path}")
    partial = partial_path(path, os.getpid())
    try:
        _create(partial)
        LogWriter(partial).close()  # fails now, not after the work, if the log cannot be written
        log = records(seed, scenario, duration_s, progress, ground_px=ground_px)
        _write(partial, seed, scenario, duration_s, log)
        try:
            os.replace(partial, path)
        except OSError as error:
            raise OutputError(f"cannot put the finished log in place: {error.strerror}: {path}") from error
    finally:
        with suppress(OSError):
            partial.unlink()


def _create(path: Path) -> None:
    try:
        create_file(path)
    except OSError as error:
        why = error.strerror or error if path.parent.is_dir() else f"the folder {path.parent} does not exist"
        raise OutputError(f"a log cannot be made here: {why}: {path}") from error


def partial_path(path: Path, process: int) -> Path:
    """Return the hidden path beside a log under which a process writes it until it is complete."""
    return path.with_name(f".{path.name}.{process}.partial")


def records(
    seed: int,
    scenario: Scenario,
    duration_s: float,
    progress: FrameProgress | None = None,
    *,
    ground_px: int = 4096,
) -> list[Record]:
    """Return every message of a log, in the order of arrival."""
    scene = make_scene(seed, scenario, duration_s)
    drive = simulate_drive(scene, duration_s)
    world = build_world(scene, ground_px)
    plans = {sensor: plan_measurements(seed, scenario, sensor, duration_s) for sensor in SENSORS}
    log = [
        *_rig_records(world, duration_s),
        *_camera_records(world, drive, plans["camera"], progress),
        *_scan_records(world, drive, plans["range"]),
        *_status_records(drive, plans["status"]),
    ]
    return sorted(log, key=lambda record: record[:2])


def _rig_records(world: World, duration_s: float) -> Iterator[Record]:
    rig = world.scene.rig
    for second in range(int(duration_s) + 1):
        stamp = EPOCH_NS + second * 1_000_000_000
        yield stamp, 0, CALIBRATION, wire.CALIBRATION_SCHEMA, wire.calibration_message(stamp, rig)
        yield stamp, 1, TRANSFORMS, wire.TRANSFORMS_SCHEMA, wire.transforms_message(stamp, rig)


def _camera_records(
    world: World, drive: Drive, plan: list[Measurement], progress: FrameProgress | None
) -> Iterator[Record]:
    """Yield frames, and the truth of every moment, which goes on while the camera is silent or frozen."""
    optics, jpeg = Optics(world.scene), b""
    with Camera(world) as camera:
        for k, shot in enumerate(plan):
            pose_world(world, drive, shot.moment_s)
            camera.update()
            geoms, _ = camera.identify()
            boxes = truth_boxes(world, camera.camera_from_world, geoms)
            if not shot.silent:
                if not shot.frozen or not jpeg:
                    rates = _turn_rates(drive, shot.moment_s)
                    faults = (1.6 * shot.fault("biased"), min(1.0, shot.fault("dirty")))
                    jpeg = encode_jpeg(optics.expose(*camera.draw(), rates, *faults))
                image = wire.image_message(shot.stamp_ns, jpeg)
                yield shot.log_time_ns, 2, IMAGE, wire.IMAGE_SCHEMA, image
            truth = encode_truth(shot.stamp_ns, wire.CAMERA_FRAME, boxes)
            yield shot.log_time_ns, 5, TRUTH_BOXES, SCHEMAS["perception.Detections"], truth
            control = _control_message(drive, shot)
            yield shot.log_time_ns, 6, TRUTH_CONTROL, SCHEMAS["perception.Control"], control
            if progress is not None:
                progress(k + 1, len(plan))


def _scan_records(world: World, drive: Drive, plan: list[Measurement]) -> Iterator[Record]:
    lidar, sent = Lidar(world), None
    for shot in plan:
        pose_world(world, drive, shot.measured_s)
        # Noise is drawn for every scan, so that a fault changes nothing of the scans after it.
        scan = lidar.scan(0.6 * shot.fault("biased"), 0.35 * shot.fault("dirty"))
        if not shot.silent:
            sent = sent if shot.frozen and sent is not None else scan
            payload = wire.scan_message(shot.stamp_ns, *sent)
            yield shot.log_time_ns, 3, SCAN, wire.SCAN_SCHEMA, payload


def _status_records(drive: Drive, plan: list[Measurement]) -> Iterator[Record]:
    sensor, sent = StatusSensor(drive), None
    for shot in plan:
        values = sensor.read(shot.measured_s, shot.fault("biased"))
        if not shot.silent:
            sent = sent if shot.frozen and sent is not None else values
            payload = encode_status(shot.stamp_ns, sent)
            yield shot.log_time_ns, 4, STATUS, SCHEMAS["perception.Status"], payload


def _control_message(drive: Drive, shot: Measurement) -> bytes:
    curvature, acceleration = drive.command_at(shot.moment_s)
    channels = (
        ControlChannel("curvature", "1/m", curvature),
        ControlChannel("acceleration", "m/s2", acceleration),
    )
    tick = Tick(0, "reference", shot.stamp_ns, shot.log_time_ns)
    return encode_control(tick, Control(True, channels=channels))


def _turn_rates(drive: Drive, t: float) -> tuple[float, float]:
    """Return yaw and pitch rate, rad/s."""
    state, step = drive.robot_at(t), 0.02
    pitch_rate = (drive.attitude_at(t + step)[0] - drive.attitude_at(t - step)[0]) / (2 * step)
    return state["speed"] * state["curvature"], pitch_rate


def _write(path: Path, seed: int, scenario: Scenario, duration_s: float, records: list[Record]) -> None:
    metadata = {
        SIMULATED_RECORD: {
            **_settings(seed, scenario, duration_s),
            "mujoco": _version("mujoco"),
            "opencv": _version("opencv-python-headless"),
            "numpy": _version("numpy"),
        }
    }
    with LogWriter(path, flush_by="log", compression="zstd", metadata=metadata) as writer:
        for log_time_ns, _, topic, schema, payload in records:
            writer.write(topic, payload, schema=schema, encoding="protobuf", log_time_ns=log_time_ns)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
