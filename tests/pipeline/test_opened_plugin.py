"""A plugin as a callable: the outputs of a replay, resets, and closing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from perception.align import align
from perception.autoconfig import Overrides, complete_config
from perception.config import parse_config
from perception.config.schema import PluginConfig
from perception.errors import NoPluginError, PluginError
from perception.logs import Query, open_log
from perception.pipeline import open_plugin, replay
from perception.plugin import Context, Prepared, register_plugin
from perception.sinks import RunInfo
from perception.types import Output, Sample
from tests.pipeline.memory_plugin import MANIFEST, MemoryPlugin
from tests.scripted_scene import START_NS, Row, write_scene


class Outputs:
    """A sink that keeps outputs."""

    def __init__(self) -> None:
        self.outputs: list[Output] = []

    def open(self, run: RunInfo) -> None: ...

    def write(self, sample: Sample, output: Output, truth: object = None, timing_ms: object = None) -> None:
        self.outputs.append(output)

    def close(self) -> None: ...


def _jump(row: Row) -> list[Row]:
    """Everything from 2 s on is stamped and arrives 20 s later."""
    late_ns = 20_000_000_000 if row.log_time_ns > START_NS + 2_000_000_000 else 0
    return [
        Row(
            row.topic,
            row.stamp_ns + late_ns,
            row.log_time_ns + late_ns,
            row.payload,
            row.schema,
            row.encoding,
        )
    ]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("opened") / "scene.mcap"
    return write_scene(path, duration_s=4.0, image_size=(64, 32), mutate=_jump)


def test_calls_give_the_outputs_of_a_replay_with_its_resets(scene: Path) -> None:
    sink, replayed, called = Outputs(), MemoryPlugin(), MemoryPlugin()
    with open_log(scene) as log:
        config = complete_config(log).config
        replay(log, config, replayed, [sink])
        samples = list(align(log.messages(Query(topics=frozenset(config.roles()))), config))
    with open_plugin(called, config, device="cpu") as plugin:
        outputs = [plugin(sample) for sample in samples]
        assert called.events[-1] != "close"
    assert outputs == sink.outputs
    assert called.events == replayed.events
    assert any(event.startswith("reset") for event in called.events)


def test_the_context_is_the_configuration_with_what_the_caller_names(scene: Path, tmp_path: Path) -> None:
    seen: list[Context] = []

    class Keeps(MemoryPlugin):
        def open(self, context: Context) -> None:
            seen.append(context)

    file = tmp_path / "c.yaml"
    file.write_text("version: 1\nengine: {seed: 3, batch: 2}\nplugin: {options: {a: 1}}\n")
    open_plugin(Keeps(), file, device="cpu", checkpoint="weights.safetensors", batch=1).close()
    assert (seen[0].seed, seen[0].batch, seen[0].options) == (3, 1, {"a": 1})
    assert (seen[0].device, seen[0].checkpoint) == ("cpu", Path("weights.safetensors"))


def test_a_configuration_of_another_plugin_gives_its_sensors_alone(
    scene: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Context] = []

    class FarSighted(MemoryPlugin):
        def open(self, context: Context) -> None:
            seen.append(context)

    monkeypatch.setattr("perception.plugin.discovery._registered", {})
    register_plugin(replace(MANIFEST, name="far", max_range_m=90.0), FarSighted)
    with open_log(scene) as log:
        found = complete_config(log).config
        again = complete_config(log, found, Overrides("far")).config
        direct = complete_config(log, overrides=Overrides("far")).config
    other = PluginConfig(checkpoint=Path("fusion.safetensors"), options={"min_score": 0.5})
    open_plugin("far", found.model_copy(update={"plugin": other}), device="cpu").close()
    assert (seen[0].checkpoint, seen[0].options, seen[0].max_range_m) == (None, {}, 90.0)
    assert seen[0].status == tuple(found.sensors.statuses["status"].fields)
    assert again.sensors == direct.sensors
    assert again.sensors.ranges["range"].max_range_m == 90.0
    chosen = found.sensors.ranges["range"].model_copy(update={"max_range_m": 20.0})  # by the user
    mine = found.model_copy(update={"sensors": found.sensors.replaced({"range": chosen})})
    open_plugin("far", mine, device="cpu").close()
    assert seen[1].max_range_m == 20.0
    with open_log(scene) as log:
        kept = complete_config(log, mine, Overrides("far"))
    assert kept.config.sensors.ranges["range"].max_range_m == 20.0


def test_a_plugin_that_does_not_open_is_closed_and_the_error_names_it() -> None:
    class Fails(MemoryPlugin):
        def open(self, context: Context) -> None:
            raise RuntimeError("no\nweights")

    plugin = Fails()
    with pytest.raises(PluginError, match="plugin 'memory' did not open: RuntimeError: no weights"):
        open_plugin(plugin, device="cpu")
    assert plugin.events == ["close"]
    with pytest.raises(PluginError, match=r"engine\.batch is 9, but plugin 'memory' takes at most 8"):
        open_plugin(MemoryPlugin(), device="cpu", batch=9)
    with pytest.raises(NoPluginError, match="did you mean fusion"):
        open_plugin("fusoin")


def test_a_step_without_one_output_is_an_error(scene: Path) -> None:
    class Mute(MemoryPlugin):
        def step(self, prepared: Sequence[Prepared]) -> list[Output]:
            return []

    with open_log(scene) as log:
        config = complete_config(log).config
        messages = log.messages(Query(topics=frozenset(config.roles())))
        sample = next(iter(align(messages, config)))
    with (
        open_plugin(Mute(), config, device="cpu") as plugin,
        pytest.raises(PluginError, match="step returned 0 outputs for 1 sample"),
    ):
        plugin(sample)


def test_arguments_in_the_wrong_place_are_told_with_the_right_call() -> None:
    config = parse_config({"version": 1, "reference": "range", "sensors": {"range": {"topic": "/scan"}}})
    with pytest.raises(TypeError, match=r"a name or a plugin, found Config: open_plugin\('fusion', config\)"):
        open_plugin(config)  # type: ignore[arg-type]
    with (
        open_plugin(MemoryPlugin(MANIFEST)) as plugin,
        pytest.raises(
            TypeError, match=r"a Sample, as Aligner.push and perception.stream give it, found list"
        ),
    ):
        plugin([])  # type: ignore[arg-type]
