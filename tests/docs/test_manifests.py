"""The manifests in docs/cluster.md: they parse, and their commands share recordings as they are run there."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from perception_tools.cli import app, run
from tests.pipeline.batch.test_exactly_once import here
from tests.scripted_scene import write_scene
from tests.third_party.install import install_manifests

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "cluster.md").read_text(encoding="utf-8")
PLUGIN = """
api: 1
factory: tests.pipeline.memory_plugin:MemoryPlugin
inputs: [camera, range, status]
heads: [class, box, control]
"""


def manifests() -> dict[str, dict[str, Any]]:
    """Return the manifests of the page by kind."""
    blocks = (yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))
    return {block["kind"]: block for block in blocks if "kind" in block}


@pytest.fixture
def drives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with three recordings, in folders of their own."""
    site = tmp_path / "site"
    site.mkdir()
    install_manifests({"memory": PLUGIN}, site)
    monkeypatch.syspath_prepend(str(site))
    # A process for each recording takes seconds to start; `test_exactly_once` has them.
    monkeypatch.setattr("perception.pipeline.batch.run_in_processes", lambda tasks, count: here(tasks))
    for name in "abc":
        (tmp_path / "drives" / name).mkdir(parents=True)
        write_scene(tmp_path / "drives" / name / f"{name}.mcap", duration_s=0.3, image_size=(64, 32))
    return tmp_path


def shards(
    words: list[str], variables: list[dict[str, str]], folder: Path, capsys: pytest.CaptureFixture[str]
) -> list[list[str]]:
    """Run a command once for each set of environment variables; return the recordings that each did."""
    assert words[:2] == ["perception", "replay"]
    places = {"s3://bucket/drives": str(folder / "drives"), "s3://bucket/out": str(folder / "out")}
    places |= {"/data/drives": str(folder / "drives"), "/data/out": str(folder / "out")}
    here = []
    for word in words[1:]:
        for there, place in places.items():
            word = word.replace(there, place) if word.startswith(there) else word
        here.append(word)
    done = []
    for environment in variables:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            assert run([*here, "--plugin", "memory", "--json"]) == 0
        report = json.loads(capsys.readouterr().out)
        done.append([row["recording"] for row in report["logs"] if not row["skipped"]])
    return done


def test_an_indexed_job_of_kubernetes_does_every_recording_once(
    drives: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = manifests()["Job"]["spec"]
    assert spec["completionMode"] == "Indexed"
    (container,) = spec["template"]["spec"]["containers"]
    fixed = {entry["name"]: entry["value"] for entry in container["env"]}
    variables = [fixed | {"JOB_COMPLETION_INDEX": str(k)} for k in range(spec["completions"])]
    done = shards(container["command"], variables, drives, capsys)
    assert [part for part in done if part] == [["a"], ["b"], ["c"]]


def test_an_array_of_slurm_does_every_recording_once(
    drives: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (script,) = re.findall(r"```bash\n(#!/bin/bash\n.*?)```", PAGE, re.DOTALL)
    (first, last), *_ = re.findall(r"--array=(\d+)-(\d+)", script)
    numbers = range(int(first), int(last) + 1)
    fixed = {"SLURM_ARRAY_TASK_COUNT": str(len(numbers)), "SLURM_ARRAY_TASK_MIN": first}
    fixed |= {"SLURM_ARRAY_TASK_MAX": last, "SLURM_ARRAY_TASK_STEP": "1"}
    variables = [fixed | {"SLURM_ARRAY_TASK_ID": str(k)} for k in numbers]
    done = shards(shlex.split(script.splitlines()[-1]), variables, drives, capsys)
    assert [part for part in done if part] == [["a"], ["b"], ["c"]]


def test_the_entrypoint_of_a_ray_job_is_a_command_of_ours() -> None:
    job = manifests()["RayJob"]
    words = shlex.split(job["spec"]["entrypoint"])
    assert words[0] == "perception"
    command = get_command(app).commands[words[1]]  # type: ignore[attr-defined]
    context = command.make_context(words[1], words[2:])
    assert context.params["on"] == "ray"
    assert str(context.params["output_dir"]) == "s3://bucket/out"
    assert job["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["template"]["spec"]["containers"]
