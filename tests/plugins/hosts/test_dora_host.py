"""The node in a real dataflow on loopback: each frame of a log arrives; the outputs are those of replay."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from perception.autoconfig import complete_config
from perception.config import to_yaml
from perception.logs import open_log
from perception.pipeline import replay
from perception.plugin import load_plugin
from perception.sinks import OutputSink
from perception.types import Output, Sample
from tests.plugins.hosts.ros2_robot import free_port
from tests.small_logs import SmallLog

pytest.importorskip("dora", reason="needs the extra `dora`")
BIN = Path(sys.executable).parent
EXAMPLE = Path(__file__).resolve().parents[3] / "plugins" / "hosts" / "examples" / "dora.yml"


def run_example(folder: Path, log: Path, site: Path, way: str, wait_s: float = 240.0) -> str:
    """Run the example dataflow in a folder, by `dora run` or by `dora up` and `dora start`; return what it
    printed."""
    shutil.copy(log, folder / "drive.mcap")
    shutil.copy(EXAMPLE, folder / "dora.yml")
    with open_log(log) as opened:
        config = complete_config(opened).config
    (folder / "robot.yaml").write_text(f"{to_yaml(config)}plugin: {{name: blob_detector}}\n")
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "PYTHONPATH": str(site)}

    def dora(*words: str) -> str:
        done = subprocess.run(
            [BIN / "dora", *words], cwd=folder, env=environment, capture_output=True, text=True,
            timeout=wait_s, check=False,
        )  # fmt: skip
        return done.stdout + done.stderr

    if way == "run":
        return dora("run", "dora.yml")
    environment |= {"HOME": str(folder), "DORA_COORDINATOR_PORT": str(free_port())}
    text = dora("up")  # the nodes get its environment
    try:
        return text + dora("start", "dora.yml", "--attach")
    finally:
        dora("down")


def published(path: Path) -> dict[int, dict[str, Any]]:
    """The events of the sink by stamp and input."""
    stamps: dict[int, dict[str, Any]] = {}
    for line in path.read_text().splitlines():
        event = json.loads(line)
        if "stamp_ns" in event:
            stamps.setdefault(event["stamp_ns"], {})[event["input"]] = event
    return stamps


class Kept(OutputSink):
    """The outputs by stamp, as far as the sink of the dataflow writes them."""

    def __init__(self) -> None:
        self.by_stamp: dict[int, tuple[Any, ...]] = {}

    def write(self, sample: Sample, output: Output, truth: Any = None, timing_ms: Any = None) -> None:
        items = output.detections.items if output.detections is not None else ()
        control = output.control.channels if output.control is not None else ()
        self.by_stamp[output.tick.stamp_ns] = (
            [number for item in items for number in item.xyxy],
            [item.score for item in items],
            [item.distance_m for item in items],
            [(channel.name, channel.value, channel.std) for channel in control],
        )


def replayed(path: Path, config: Path | None) -> dict[int, tuple[Any, ...]]:
    kept = Kept()
    with open_log(path) as log:
        complete = complete_config(log, config).config
        replay(log, complete, load_plugin(complete.plugin.name), [kept])
    return kept.by_stamp


@pytest.mark.parametrize(
    ("seconds", "way"),
    [
        (1.5, "run"),
        pytest.param(1.5, "start", marks=pytest.mark.slow),
        pytest.param(300.0, "run", marks=pytest.mark.slow),
    ],
)
def test_every_frame_arrives_and_the_outputs_are_those_of_replay(
    seconds: float, way: str, tmp_path: Path, third_party: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(third_party))
    log = tmp_path / "made.mcap"
    made = SmallLog().image(seconds=seconds, delay_s=0.03, noisy=True).scan(hz=20, seconds=seconds)
    made.status(hz=50, seconds=seconds, delay_s=0.002).write(log)
    text = run_example(tmp_path, log, third_party, way, wait_s=200 + 3 * seconds)
    assert way == "start" or f"{round(seconds * 80)} messages acknowledged" in text, text[-4000:]
    sent = {}
    for stamp_ns, events in published(tmp_path / "outputs.jsonl").items():
        (boxes,) = events["detections"]["values"]
        control = [(row["name"], row["value"], row["std"]) for row in events["control"]["values"]]
        sent[stamp_ns] = boxes["bbox"], boxes["conf"], boxes["distance_m"], control
    assert len(sent) == round(seconds * 10)
    assert sent == replayed(log, tmp_path / "robot.yaml")
    assert sent == replayed(tmp_path / "recorded.mcap", None)
