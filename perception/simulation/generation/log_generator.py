"""One log: a drive through a scene, measured by every sensor, written in the order of arrival."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from perception.errors import OutputError
from perception.logs.mcap.writer import LogWriter
from perception.logs.perception_proto import SCHEMAS, encode_control, encode_status, encode_truth
from perception.simulation.generation import messages as wire
from perception.simulation.generation.delivery import EPOCH_NS, Shot, shots
from perception.simulation.motion.drive import Drive, drive
from perception.simulation.scenario import Scenario
from perception.simulation.sensors.camera import Camera, place
from perception.simulation.sensors.lidar import Lidar
from perception.simulation.sensors.optics import Optics, encode_jpeg
from perception.simulation.sensors.status import StatusSensor
from perception.simulation.sensors.truth import truth_boxes
from perception.simulation.world.model import World, build_world
from perception.simulation.world.scene import make_scene
from perception.types import Control, ControlChannel, Schema, Tick

IMAGE, CALIBRATION, TRANSFORMS = "/camera/image", "/camera/calibration", "/tf"
SCAN, STATUS = "/scan", "/vehicle/state"
TRUTH_BOXES, TRUTH_CONTROL = "/truth/detections", "/truth/control"

Record = tuple[int, int, str, Schema, bytes]  # log time, rank among equals, topic, schema, payload
Progress = Callable[[int, int], None]


def generate(
    path: Path,
    seed: int,
    scenario: Scenario,
    duration_s: float,
    progress: Progress | None = None,
    *,
    ground_px: int = 4096,
) -> None:
    """Simulates one log and writes it. A file is under its name only when it is whole.

    The same seed, scenario, duration and versions give the same bytes.

    Args:
        path: The log to make; one that exists is replaced.
        progress: Called with frames done and frames in all.
        ground_px: The longer side of the ground's texture; smaller is faster and coarser.

    Raises:
        OutputError: The file cannot be written.
        MissingExtraError, PerceptionError: MuJoCo or OpenGL is missing.
    """
    partial = partial_path(path, os.getpid())
    try:
        _claim(partial, path)
        found = records(seed, scenario, duration_s, progress, ground_px=ground_px)
        _write(partial, seed, scenario, duration_s, found)
        try:
            os.replace(partial, path)
        except OSError as error:
            raise OutputError(f"cannot put the finished log in place: {error.strerror}: {path}") from error
    finally:
        with suppress(OSError):
            partial.unlink()


def _claim(partial: Path, path: Path) -> None:
    """Fails before the work, not after it, where the log cannot be written."""
    if path.is_dir():
        raise OutputError(f"a log is a file, found a folder, name a file in it: {path}")
    LogWriter(partial).close()


def partial_path(path: Path, process: int) -> Path:
    """Where a process writes a log until it is finished: beside it, hidden, and not called a log."""
    return path.with_name(f".{path.name}.{process}.partial")


def records(
    seed: int,
    scenario: Scenario,
    duration_s: float,
    progress: Progress | None = None,
    *,
    ground_px: int = 4096,
) -> list[Record]:
    """Every message of a log, in the order of arrival."""
    scene = make_scene(seed, scenario, duration_s)
    run = drive(scene, duration_s)
    world = build_world(scene, ground_px)
    found = _rig(world, duration_s)
    found += _camera(world, run, shots(seed, scenario, "camera", duration_s), progress)
    found += _scans(world, run, shots(seed, scenario, "range", duration_s))
    found += _status(run, shots(seed, scenario, "status", duration_s))
    return sorted(found, key=lambda record: record[:2])


def _rig(world: World, duration_s: float) -> list[Record]:
    found: list[Record] = []
    for second in range(int(duration_s) + 1):
        stamp = EPOCH_NS + second * 1_000_000_000
        found.append(
            (stamp, 0, CALIBRATION, wire.CALIBRATION_SCHEMA, wire.calibration_message(stamp, world.scene.rig))
        )
        found.append(
            (stamp, 1, TRANSFORMS, wire.TRANSFORMS_SCHEMA, wire.transforms_message(stamp, world.scene.rig))
        )
    return found


def _camera(world: World, run: Drive, plan: list[Shot], progress: Progress | None) -> list[Record]:
    """Frames, and with each its truth: also where the camera is silent, or shows what has passed."""
    found: list[Record] = []
    optics, held = Optics(world.scene), b""
    with Camera(world) as camera:
        for k, shot in enumerate(plan):
            place(world, run, shot.moment_s)
            camera.update()
            geoms, _ = camera.identify()
            boxes = truth_boxes(world, camera.camera_from_world, geoms)
            frozen = shot.measured_s < shot.moment_s
            if not shot.silent:
                if not frozen or not held:
                    colours, depth = camera.draw()
                    frame = optics.expose(
                        colours,
                        depth,
                        _turn_rates(run, shot.moment_s),
                        1.6 * shot.fault("biased"),
                        min(1.0, shot.fault("dirty")),
                    )
                    held = encode_jpeg(frame)
                found.append(
                    (shot.log_time_ns, 2, IMAGE, wire.IMAGE_SCHEMA, wire.image_message(shot.stamp_ns, held))
                )
            truth = encode_truth(shot.stamp_ns, wire.CAMERA_FRAME, boxes)
            found.append((shot.log_time_ns, 5, TRUTH_BOXES, SCHEMAS["perception.Detections"], truth))
            found.append(
                (shot.log_time_ns, 6, TRUTH_CONTROL, SCHEMAS["perception.Control"], _control(run, shot))
            )
            if progress is not None:
                progress(k + 1, len(plan))
    return found


def _scans(world: World, run: Drive, plan: list[Shot]) -> list[Record]:
    found: list[Record] = []
    lidar = Lidar(world)
    for shot in plan:
        place(world, run, shot.measured_s)
        held = lidar.scan(0.6 * shot.fault("biased"), 0.35 * shot.fault("dirty"))
        if not shot.silent:
            found.append(
                (shot.log_time_ns, 3, SCAN, wire.SCAN_SCHEMA, wire.scan_message(shot.stamp_ns, *held))
            )
    return found


def _status(run: Drive, plan: list[Shot]) -> list[Record]:
    found: list[Record] = []
    sensor = StatusSensor(run)
    schema = SCHEMAS["perception.Status"]
    for shot in plan:
        values = sensor.read(shot.measured_s, shot.fault("biased"))
        if not shot.silent:
            found.append((shot.log_time_ns, 4, STATUS, schema, encode_status(shot.stamp_ns, values)))
    return found


def _control(run: Drive, shot: Shot) -> bytes:
    curvature, acceleration = run.command_at(shot.moment_s)
    channels = (
        ControlChannel("curvature", "1/m", curvature, 0.0),
        ControlChannel("acceleration", "m/s2", acceleration, 0.0),
    )
    tick = Tick(0, "reference", shot.stamp_ns, shot.log_time_ns)
    return encode_control(tick, Control(True, channels=channels))


def _turn_rates(run: Drive, t: float) -> tuple[float, float]:
    """Yaw and pitch rate, rad/s."""
    state, step = run.robot_at(t), 0.02
    pitch_rate = (run.attitude_at(t + step)[0] - run.attitude_at(t - step)[0]) / (2 * step)
    return state["speed"] * state["curvature"], pitch_rate


def _write(path: Path, seed: int, scenario: Scenario, duration_s: float, found: list[Record]) -> None:
    metadata = {
        "synthetic": {
            "seed": str(seed),
            "duration_s": f"{duration_s:g}",
            "scenario": scenario.model_dump_json(exclude_defaults=True),
            "mujoco": _version("mujoco"),
            "opencv": _version("opencv-python-headless"),
            "numpy": _version("numpy"),
        }
    }
    with LogWriter(path, flush_by="log", compression="zstd", metadata=metadata) as writer:
        for log_time_ns, _, topic, schema, payload in found:
            writer.write(topic, payload, schema=schema, encoding="protobuf", log_time_ns=log_time_ns)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
