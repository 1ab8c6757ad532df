"""Unknown is a value: a plain 2D detector states no distance and no deviation, and nobody invents one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from foxglove_schemas_protobuf.CompressedImage_pb2 import CompressedImage
from foxglove_schemas_protobuf.ImageAnnotations_pb2 import ImageAnnotations

import perception
from perception.diagnosis.conformance import check_plugin
from perception.diagnosis.monitor import Monitor, StatisticsReader
from perception.evaluation.agreement.comparison import Comparison
from perception.evaluation.agreement.profiles import Decisions, Rounding
from perception.evaluation.agreement.tolerances import parse_tolerances
from perception.logs import Query, open_log
from perception.logs.perception_proto import (
    _CLASSES,
    SCHEMAS,
    decode_control,
    decode_detections,
    encode_control,
    encode_detections,
    encode_truth,
)
from perception.pipeline.digest import OutputDigest
from perception.plugin import load_plugin
from perception.plugin.output_rules import output_violations
from perception.sinks import RunInfo, read_outputs
from perception.types import Control, ControlChannel, Detection, Detections, Output, TruthBox
from perception_tools.cli import run
from tests.sinks.build import sample_of
from tests.small_logs import SmallLog, foxglove_schema

WIDTH, HEIGHT = 320, 240
SAMPLE = sample_of(0)
PLAIN = Detection("car", 0.75, (10.0, 20.0, 30.0, 60.0))
FULL = replace(PLAIN, box_std=(1.0, 1.0, 1.0, 1.0), distance_m=12.5, distance_std_m=0.5)
CHANNEL = ControlChannel("curvature", "1/m", 0.1)


def place(i: int) -> tuple[float, float, float, float]:
    return 20.0 + 4 * i, 60.0, 100.0 + 4 * i, 160.0


def picture(i: int, stamp_ns: int) -> bytes:
    pixels = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)
    x1, y1, x2, y2 = (int(edge) for edge in place(i))
    pixels[y1:y2, x1:x2] = 250
    message = CompressedImage(frame_id="camera", format="png", data=cv2.imencode(".png", pixels)[1].tobytes())
    message.timestamp.FromNanoseconds(stamp_ns)
    return message.SerializeToString()


def truth(i: int, stamp_ns: int) -> bytes:
    return encode_truth(stamp_ns, "camera", [TruthBox("car", place(i), 8.0 + i, 1.0, "1")])


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds in which a bright box crosses the image, with its truth, and distances in the truth."""
    log = SmallLog().calibration(size=(WIDTH, HEIGHT), seconds=4.0).status(seconds=4.0, hz=50.0)
    log.stream("/camera/image", foxglove_schema(CompressedImage), "protobuf", picture, seconds=4.0)
    log.stream("/truth/detections", SCHEMAS["perception.Detections"], "protobuf", truth, seconds=4.0)
    return log.write(tmp_path_factory.mktemp("drive") / "drive.mcap")


@pytest.fixture(autouse=True)
def _detector(third_party: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(third_party))
    monkeypatch.chdir(tmp_path)


def output_of(*items: Detection, control: Control | None = None) -> Output:
    return Output(SAMPLE.tick, Detections(True, ("camera",), "", items), control)


def command(capsys: pytest.CaptureFixture[str], *words: object, code: int = 0) -> dict[str, Any]:
    ended = run([*map(str, words), "--json"])
    captured = capsys.readouterr()
    assert ended == code, captured.out + captured.err
    document: dict[str, Any] = json.loads(captured.out)
    return document


def test_a_plain_detector_keeps_the_contract() -> None:
    failed = {check.name: check.violation for check in check_plugin("bright_boxes") if not check.passed}
    assert failed == {}


def test_what_it_writes_says_nothing_that_it_does_not_know(
    drive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (
        "--plugin",
        "bright_boxes",
        "--output",
        "out.mcap",
        "--jsonl",
        "out.jsonl",
        "--render",
        "out.mp4",
    )
    summary = command(capsys, "replay", drive, *words)
    assert (summary["status"], summary["outputs"]["box"]["valid"]) == ("clean", 40)
    (item,) = json.loads(Path("out.jsonl").read_text().splitlines()[0])["detections"]["items"]
    assert (item["distance_m"], item["distance_std_m"], item["box_std"]) == (None, None, None)
    with open_log("out.mcap") as log:
        stored = [output.output for output in read_outputs(log)]
        drawn = [
            ImageAnnotations.FromString(message.data)
            for message in log.messages(Query(frozenset({"/perception/annotations"})))
        ]
    assert len(stored) == 40
    assert all(d.distance_m is d.distance_std_m is d.box_std is None for d in stored[7].detections.items)
    assert drawn[0].texts[0].text == "car 1.00"
    assert Path("out.mp4").stat().st_size > 1000


def test_it_is_verified_scored_and_nothing_is_scored_on_an_invention(
    drive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command(capsys, "replay", drive, "--plugin", "bright_boxes", "--output", "out.mcap")
    verified = command(capsys, "verify", "out.mcap", "--input", drive)
    assert verified["status"] == "equal"
    few = ("--min-support", 2)
    live = command(capsys, "evaluate", drive, "--plugin", "bright_boxes", "--draws", 100, *few)
    stored = command(capsys, "evaluate", drive, "--outputs", "out.mcap", "--draws", 100, *few)
    for scores in (live, stored):
        heads = scores["heads"]
        assert heads["box"]["box_errors"]["values"]["IoU"]["value"] > 0.97
        for metric, name in (
            ("distance_errors", "distance_rel"),
            ("distance_errors", "distance_coverage80"),
            ("box_errors", "box_coverage80"),
            ("box_errors", "box_NLL"),
        ):
            value = heads["box"][metric]["values"][name]
            assert (value["value"], value["support"]) == (None, 0), name
        assert heads["box"]["distance_errors"]["details"] == {"truth": 40, "missing": 40}
        why = heads["box"]["distance_errors"]["values"]["distance_rel"]["undefined"]
        assert why == "0 matches that state a distance; 2 are needed"
        joint = heads["joint"]["joint"]
        assert "distance" not in joint["details"]["parts"]
        assert joint["values"]["joint"]["value"] > 0.9
    gated = command(
        capsys, "evaluate", drive, "--outputs", "out.mcap", "--require", "box.distance_rel <= 1", code=4
    )
    assert "0 matches that state a distance" in gated["gates"][0]["why"]


def test_a_notebook_shows_it_and_streams_it(drive: Path) -> None:
    result = perception.replay(drive, plugin="bright_boxes", end=1.0)
    row = result.detections[0]
    assert (row["label"], row["distance_m"], row["distance_std_m"]) == ("car", None, None)
    assert "<td></td>" in result.detections._repr_html_()
    assert len(result.control) == 0
    first = next(iter(perception.stream(drive, plugin="bright_boxes", end=1.0)))
    assert first.output.detections is not None
    assert first.output.detections.items[0].distance_m is None
    assert first._repr_html_().startswith("<img")


def test_distances_count_where_they_are_stated() -> None:
    from perception.evaluation.metrics import DistanceErrors, Rules
    from tests.evaluation.metrics.build import frame, truth_box

    metric = DistanceErrors(Rules(min_support=1))
    boxes = [(0.0, 0.0, 20.0, 20.0), (100.0, 0.0, 120.0, 20.0)]
    said = [replace(FULL, label="vehicle", xyxy=boxes[0]), replace(PLAIN, label="vehicle", xyxy=boxes[1])]
    metric.update(*frame(said, [truth_box(box) for box in boxes]))
    values = metric.compute().values
    assert (values["distance_abs"].value, values["distance_abs"].support) == (2.5, 1)
    assert values["distance_coverage80"].support == 1
    assert metric.compute().details["missing"] == 1


@pytest.mark.parametrize("profile", [Rounding(), Rounding(parse_tolerances("distance=1")), Decisions()])
def test_unknown_agrees_with_unknown_only(profile: Rounding | Decisions) -> None:
    control = Control(True, ("status",), "", (CHANNEL,))
    same = Comparison(profile)
    same.add(output_of(PLAIN, control=control), output_of(PLAIN, control=control))
    assert same.verdict == "equal"
    for before, now in ((PLAIN, FULL), (FULL, PLAIN)):
        differences = profile.differences(output_of(before), output_of(now))
        assert differences["class"] == []
        assert "distance" in differences["box"][0] or "box_std" in differences["box"][0]
        assert "unknown" in differences["box"][0] or "no distance" in differences["box"][0]
    moved = replace(PLAIN, xyxy=(10.1, 20.0, 30.0, 60.0))
    assert not any(profile.differences(output_of(PLAIN), output_of(moved)).values())


def test_a_channel_without_a_deviation_agrees_by_its_size() -> None:
    def control(value: float, std: float | None = None) -> Output:
        return output_of(control=Control(True, ("status",), "", (ControlChannel("turn", "1/m", value, std),)))

    for profile in (Rounding(), Decisions()):
        assert profile.differences(control(0.1), control(0.101))["control"] == []
        assert profile.differences(control(0.1), control(0.2))["control"]
    assert Rounding().differences(control(0.1), control(0.1, 0.01))["control"] == [
        "the std of turn went from unknown to 0.01"
    ]


def test_messages_give_back_what_is_known() -> None:
    for item in (PLAIN, FULL, replace(FULL, distance_m=0.0), replace(FULL, box_std=None)):
        head = Detections(True, ("camera",), "", (item,))
        assert decode_detections(encode_detections(SAMPLE.tick, head, "camera"))[2] == head
    for channel in (CHANNEL, replace(CHANNEL, std=0.25)):
        control = Control(True, ("status",), "", (channel,))
        assert decode_control(encode_control(SAMPLE.tick, control))[1] == control


def test_the_hash_tells_unknown_from_every_number() -> None:
    def digest(*items: Detection, std: float | None = None) -> str:
        sink = OutputDigest()
        sink.open(RunInfo())
        sink.write(SAMPLE, output_of(*items, control=Control(True, channels=(replace(CHANNEL, std=std),))))
        return sink.hexdigest()

    distinct = [
        digest(PLAIN),
        digest(PLAIN, std=0.0),
        digest(replace(PLAIN, distance_m=0.5)),
        digest(replace(PLAIN, distance_m=0.5, distance_std_m=0.5)),
        digest(FULL),
        digest(PLAIN, replace(PLAIN, distance_m=0.5)),
        digest(replace(PLAIN, distance_m=0.5), PLAIN),
    ]
    assert len(set(distinct)) == len(distinct)


def test_a_deviation_without_its_value_violates_the_contract() -> None:
    manifest = load_plugin("fusion").manifest
    control = Control(True, ("status",), "", (CHANNEL,))
    assert output_violations(output_of(PLAIN, control=control), SAMPLE, manifest) == []
    [violation] = output_violations(
        output_of(replace(PLAIN, distance_std_m=1.0), control=control), SAMPLE, manifest
    )
    assert violation == "detections.0: distance_std_m 1.0 has no distance_m; give both, or None for both"


def test_the_monitor_leaves_out_what_is_unknown() -> None:
    mixed = output_of(PLAIN, replace(FULL, xyxy=(100.0, 20.0, 130.0, 60.0)))
    alone = output_of(replace(FULL, xyxy=(100.0, 20.0, 130.0, 60.0)))
    assert StatisticsReader().read(mixed)["box"] == StatisticsReader().read(alone)["box"]
    control = Control(True, ("status",), "", (CHANNEL,))
    nothing = StatisticsReader().read(output_of(PLAIN, control=control))
    assert all(np.isnan(value) for value in (*nothing["box"].values(), *nothing["control"].values()))
    health = Monitor().update(SAMPLE, output_of(PLAIN, control=control))
    assert health["box"].head == "box"


def test_files_of_before_are_read_alike() -> None:
    """Before its field was optional, a distance of 0 was left out; its deviation says that it was known."""
    head = Detections(True, ("camera",), "", (replace(FULL, distance_m=0.0),))
    now = encode_detections(SAMPLE.tick, head, "camera")
    message = _CLASSES["Detections"].FromString(now)
    message.detections[0].ClearField("distance_m")
    before = message.SerializeToString(deterministic=True)
    assert len(before) == len(now) - 9  # a tag and a double
    assert decode_detections(before)[2] == head
