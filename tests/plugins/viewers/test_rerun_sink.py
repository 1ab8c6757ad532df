"""Rerun recordings, read back: pictures, boxes, returns, positions, series, texts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from perception.errors import OutputError
from perception.path_guard import Write, check_paths
from perception.plugin import positioned
from perception.sinks import RunInfo, make_sink
from perception.types import Absent, CameraFrame, Control, Detections, Output, Rig, Sample
from perception_plugins.viewers.remarks import MOST_CHANGES
from tests.pipeline.memory_plugin import MemoryPlugin
from tests.pipeline.test_rig_views import run as run_rig
from tests.plugins.viewers.recording import Recording
from tests.sinks.build import HEIGHT, WIDTH, jpeg_of, output_of, sample_of, tick_of, truth_of

RUN = RunInfo(classes=("car", "person"), config="base_frame: lidar\n")


def written(path: Path, rows: list[tuple[Sample, Output]], run: RunInfo = RUN, **how: object) -> Recording:
    sink = make_sink(path, "rrd")
    sink.open(run)
    for index, (sample, output) in enumerate(rows):
        truth = truth_of(index) if how.get("truth") else None
        sink.write(sample, output, truth, {"infer": 9.5, "prepare": 2.0 + index})
    sink.close()
    return Recording(path)


def rows_of(count: int = 6, silent: tuple[int, ...] = ()) -> list[tuple[Sample, Output]]:
    kinds = ["substitute" if i in silent else "reference" for i in range(count)]
    return [(sample_of(i, kind), output_of(i, kind)) for i, kind in enumerate(kinds)]


def test_pictures_are_those_of_the_log_and_one_that_is_absent_is_cleared(tmp_path: Path) -> None:
    kept = written(tmp_path / "a.rrd", rows_of(6, silent=(3,)))
    pictures = kept.values("space/camera/picture", "EncodedImage:blob")
    assert [bytes(picture[0]) if picture else b"" for picture in pictures] == [
        b"" if i == 3 else jpeg_of(i) for i in range(6)
    ]
    times = kept.times("space/camera/picture", "EncodedImage:blob")
    assert times == [tick_of(i).log_time_ns for i in range(6)]
    assert kept.timelines == {"arrival", "stamp", "tick"}  # the wall clock is none of them
    states = [value[0] for value in kept.values("inputs/camera", "StateChange:state")]
    assert states == ["present", "silent", "present"]
    assert len(kept.recordings) == 1
    assert kept.blueprints


def test_a_camera_whose_place_is_known_later_has_it_from_the_beginning(tmp_path: Path) -> None:
    """A picture in the scene without a pinhole is an error of the viewer, which opens at the beginning."""
    rows = rows_of(4)
    rows[:2] = [(replace(sample, rig=Rig(), placings={}), output) for sample, output in rows[:2]]
    kept = written(tmp_path / "a.rrd", rows)
    moments = [tick_of(0).log_time_ns, tick_of(2).log_time_ns]
    assert kept.times("space/camera", "Pinhole:resolution") == moments
    assert kept.times("space/camera", "Transform3D:translation") == moments
    again = written(tmp_path / "b.rrd", rows_of(4))
    assert again.times("space/camera", "Pinhole:resolution") == moments[:1]


def test_boxes_carry_class_score_and_distance(tmp_path: Path) -> None:
    kept = written(tmp_path / "a.rrd", rows_of(3), truth=True)
    boxes = "space/camera/boxes"
    for index in range(3):
        items = [item for item in output_of(index).detections.items if item.score >= 0.3]
        centres = np.array(kept.values(boxes, "Boxes2D:centers")[index])
        halves = np.array(kept.values(boxes, "Boxes2D:half_sizes")[index])
        corners = np.concatenate([centres - halves, centres + halves], axis=1)
        np.testing.assert_allclose(corners, [item.xyxy for item in items], atol=1e-4)
        for name in ("label", "score", "distance_m", "distance_std_m", "track_id"):
            column = kept.values(boxes, f"perception.Detection:{name}")[index]
            assert column == [getattr(item, name) for item in items]
        assert f"{items[0].distance_m:.1f}" in kept.values(boxes, "Boxes2D:labels")[index][0]
    assert kept.values("space/camera/truth", "Boxes2D:centers")[0] == [[84.0, 114.0]]


def test_returns_are_coloured_by_range_in_the_picture_and_in_the_scene(tmp_path: Path) -> None:
    kept = written(tmp_path / "a.rrd", rows_of(1))
    points = np.array(kept.values("space/range", "Points3D:positions")[0])
    np.testing.assert_allclose(points, [[5, 0, 0], [20, -4, 0.5], [-3, 0, 0]])  # not the NaN
    pixels = np.array(kept.values("space/camera/returns", "Points2D:positions")[0])
    expected = [[WIDTH / 2 + WIDTH * 4 / 20, HEIGHT / 2 - WIDTH * 0.5 / 20], [WIDTH / 2, HEIGHT / 2]]
    np.testing.assert_allclose(pixels, expected, atol=1e-3)  # the farther one first, none from behind
    far, near = (
        np.array([c >> s & 255 for s in (24, 16, 8)]).sum()
        for c in kept.values("space/camera/returns", "Points2D:colors")[0]
    )
    assert near > far  # bright is near
    assert (
        kept.values("space/range", "Points3D:colors")[0][1]
        == kept.values("space/camera/returns", "Points2D:colors")[0][0]
    )


def test_positions_are_ellipsoids_of_their_covariance(tmp_path: Path) -> None:
    rows = []
    for sample, output in rows_of(2):
        assert output.detections is not None
        placed = positioned(output.detections, sample.rig, "lidar")
        rows.append((sample, replace(output, detections=placed)))
    kept = written(tmp_path / "a.rrd", rows)
    for index, (_, output) in enumerate(rows):
        items = [item for item in output.detections.items if item.score >= 0.3]
        entity = "space/positions/camera"
        centres = kept.values(entity, "Ellipsoids3D:centers")[index]
        np.testing.assert_allclose(centres, [item.position_m for item in items], rtol=1e-6)
        sizes = kept.values(entity, "Ellipsoids3D:half_sizes")[index]
        for size, item in zip(sizes, items, strict=True):
            variances = np.linalg.eigvalsh(np.array(item.position_cov_m2))
            np.testing.assert_allclose(sorted(np.square(size)), variances, rtol=1e-4, atol=1e-9)


def test_control_latency_and_ages_are_series_and_an_invalid_head_is_a_gap(tmp_path: Path) -> None:
    rows = rows_of(3)
    rows[1] = rows[1][0], replace(rows[1][1], control=Control(False, error="blind"))
    kept = written(tmp_path / "a.rrd", rows)
    values = kept.values("control/curvature", "Scalars:scalars")
    np.testing.assert_allclose(values[0], [0.01, 0.008, 0.012])
    assert np.isnan(values[1]).all()
    np.testing.assert_allclose(values[2], [0.03, 0.028, 0.032])
    assert kept.values("latency/prepare", "Scalars:scalars") == [[2.0], [3.0], [4.0]]
    assert kept.values("ages/range", "Scalars:scalars") == [[12.0]] * 3
    assert ("ERROR", "control: blind") in kept.texts()
    assert ("INFO", "control: valid again") in kept.texts()


def test_what_is_wrong_is_told_once_when_it_happens(tmp_path: Path) -> None:
    run = replace(RUN, untrained=True, faults=("camera.drop=0.1",))
    texts = written(tmp_path / "a.rrd", rows_of(6, silent=(2, 3)), run).texts()
    assert texts.count(("WARN", "camera: silent for 150 ms")) == 1
    assert texts.count(("INFO", "camera: present again")) == 1
    assert texts.count(("WARN", "plugin: input_range: far")) == 1
    assert ("WARN", "weights: the weights were never trained") in texts
    assert ("WARN", "faults: injected into the log: camera.drop=0.1") in texts


def test_an_input_that_flickers_is_told_a_few_times_and_seen_in_its_states(tmp_path: Path) -> None:
    kept = written(tmp_path / "a.rrd", rows_of(60, silent=tuple(range(1, 60, 2))))
    lines = [text for _, text in kept.texts() if text.startswith("camera: ")]
    assert len(lines) == MOST_CHANGES
    assert "changes often" in lines[-1]
    assert len(kept.values("inputs/camera", "StateChange:state")) == 60


def test_each_camera_of_a_rig_has_pictures_boxes_and_a_place(tmp_path: Path) -> None:
    sink, _, _ = run_rig(MemoryPlugin())
    kept = written(tmp_path / "a.rrd", sink.rows)
    for camera in ("front", "left"):
        assert len(kept.values(f"space/{camera}/picture", "EncodedImage:blob")) == len(sink.rows)
        count = [len(boxes) for boxes in kept.values(f"space/{camera}/boxes", "Boxes2D:centers")]
        assert count == [
            sum(item.score >= 0.3 for item in output.cameras[camera].items) for _, output in sink.rows
        ]
    assert {"ages/front", "ages/left", "ages/lidar", "ages/radar"} <= {entity for entity, _ in kept.rows}


@pytest.mark.parametrize("layout", ["rgb8", "mono16", "i420"])
def test_pictures_in_another_form_become_jpegs_of_their_size(tmp_path: Path, layout: str) -> None:
    import cv2

    sizes = {"rgb8": (3, 3 * 64), "mono16": (2, 128), "i420": (1.5, 0)}
    share, step = sizes[layout]
    data = bytes(range(256)) * int(64 * 48 * share / 256)
    frame = CameraFrame("/c", 1, 1, "cam", data, layout, 64, 48, step, colours="bt601" * (layout == "i420"))
    sample, output = rows_of(1)[0]
    kept = written(
        tmp_path / "a.rrd",
        [(replace(sample, camera=replace(sample.camera, value=frame), cameras={}), output)],
    )
    picture = bytes(kept.values("space/camera/picture", "EncodedImage:blob")[0][0])
    shown = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    assert shown.shape == (48, 64, 3)
    assert int(np.ptp(shown)) > 100


def test_a_head_that_is_absent_or_invalid_shows_no_boxes(tmp_path: Path) -> None:
    sample, output = rows_of(1)[0]
    rows = [(sample, output), (sample_of(1), replace(output_of(1), detections=Detections(False, error="x")))]
    kept = written(tmp_path / "a.rrd", rows)
    assert [len(boxes) for boxes in kept.values("space/camera/boxes", "Boxes2D:centers")] == [2, 0]


def test_times_beyond_those_of_rerun_are_bounded(tmp_path: Path) -> None:
    sample, output = rows_of(1)[0]
    tick = replace(sample.tick, log_time_ns=(1 << 64) - 1)
    kept = written(tmp_path / "a.rrd", [(replace(sample, tick=tick), replace(output, tick=tick))])
    assert kept.times("space/camera/picture", "EncodedImage:blob") == [(1 << 63) - 1]


def test_a_place_that_takes_no_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="make it first"):
        make_sink(tmp_path / "nowhere" / "a.rrd").open(RUN)
    with pytest.raises(OutputError, match=r"cannot write the recording: .*no space left"):
        written(Path("/dev/full"), rows_of(1))


def test_only_recordings_of_ours_are_replaced(tmp_path: Path) -> None:
    import rerun as rr

    mine, other = tmp_path / "mine.rrd", tmp_path / "other.rrd"
    written(mine, rows_of(1))
    stream = rr.RecordingStream("another")
    stream.save(other)
    stream.log("x", rr.Scalars(1.0))
    stream.disconnect()
    sink = make_sink(mine)
    check_paths([], [Write("--rerun", mine, sink.is_ours)])  # type: ignore[attr-defined]
    with pytest.raises(OutputError):
        check_paths([], [Write("--rerun", other, sink.is_ours)])  # type: ignore[attr-defined]


def test_an_absence_of_the_range_clears_its_returns(tmp_path: Path) -> None:
    sample, output = rows_of(1)[0]
    blind = sample_of(1).with_absent({"range": Absent("undecodable", "cut")})
    kept = written(tmp_path / "a.rrd", [(sample, output), (blind, output_of(1))])
    assert [len(points) for points in kept.values("space/range", "Points3D:positions")] == [3, 0]
    assert [len(points) for points in kept.values("space/camera/returns", "Points2D:positions")] == [2, 0]
    assert ("WARN", "range: cut") in kept.texts()
