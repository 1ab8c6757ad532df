"""Opening a plugin on a device: by a host, or as a callable for one sample at a time."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from perception.autoconfig import GivenConfig, Overrides, as_config
from perception.autoconfig.usual_range import left_open, with_usual_range
from perception.config import Config
from perception.engines.gpu import cuda_devices
from perception.errors import ConfigError, PerceptionError, PluginError
from perception.plugin import Context, Plugin, load_plugin
from perception.plugin.failures import failure_text, plugin_code
from perception.types import Output, Reset, Sample
from perception.types.backends import only_on_cpu
from perception.types.views import joined_output, views_of


class OpenedPlugin:
    """An open plugin that is called with one sample and returns its output. Closes on leaving a `with` block.

    Samples come in order of their ticks, from one thread. A sample that begins a new stretch of time
    (`sample.reset`) resets the plugin first.

    Attributes:
        plugin: The plugin itself; `plugin.manifest` names its inputs and heads.

    Args:
        plugin: Open.
        control_camera: The camera that gives control, of several; None: the reference camera.
    """

    def __init__(self, plugin: Plugin, control_camera: str | None = None) -> None:
        self.plugin = plugin
        self._control_camera = control_camera

    def __call__(self, sample: Sample) -> Output:
        """Prepare and step one sample, each of its cameras by itself; return its output.

        Raises:
            PluginError: `step` did not return one output, or the plugin called `sys.exit`.
            TypeError: That is no sample.
            Exception: Whatever the plugin raises.
        """
        if not isinstance(sample, Sample):
            found = type(sample).__name__
            raise TypeError(
                f"expected a Sample, as Aligner.push and perception.stream give it, found {found}"
            )
        try:
            if sample.reset is not None:
                self.plugin.reset(sample.reset)
            outputs = {view.camera.name: self._output_of(view) for view in views_of(sample)}
        except Exception:
            raise
        except BaseException as error:
            raise PluginError(f"plugin '{self.plugin.manifest.name}': {failure_text(error)}") from error
        return joined_output(sample, outputs, self._control_camera)

    def _output_of(self, view: Sample) -> Output:
        outputs = self.plugin.step([self.plugin.prepare(view)])
        if len(outputs) != 1:
            raise PluginError(
                f"plugin '{self.plugin.manifest.name}': step returned {len(outputs)} outputs for 1 sample"
            )
        return outputs[0]

    def reset(self, reason: str) -> None:
        """Reset the state of the plugin."""
        self.plugin.reset(Reset(reason))

    def close(self) -> None:
        """Close the plugin.

        Raises:
            PerceptionError: It does not close.
        """
        close_plugin(self.plugin)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_plugin(
    plugin: str | Plugin, config: GivenConfig | None = None, *, device: str = "auto", **context: Any
) -> OpenedPlugin:
    """Open a plugin for one sample at a time::

        with open_plugin("fusion", "robot.yaml") as plugin:
            for sample in samples:
                output = plugin(sample)

    The outputs are those of a replay under the same configuration.

    Args:
        plugin: The name of an installed plugin, or a plugin that is not open.
        config: A configuration, a choice (`complete_config`), or the path of a YAML file; None: the defaults
            of `Context`. Its engine and sensors make the plugin's context, and its checkpoint and options,
            unless `plugin` is another name than the one that it has: those are of that. Then a `max_range_m`
            that `complete_config` found for that plugin becomes that of this one, too.
        device: `auto`, `cpu` or `cuda`.
        context: Fields of `Context` that replace those of the configuration (`checkpoint`, `seed`, ...).

    Raises:
        ConfigError: The file is wrong, or the device is not there.
        TypeError: That is no plugin or no configuration.
        NoPluginError: No plugin of that name is installed.
        PerceptionError: The plugin does not open.
    """
    if not isinstance(plugin, str) and not hasattr(plugin, "manifest"):
        found_type = type(plugin).__name__
        raise TypeError(
            f"plugin: expected a name or a plugin, found {found_type}: open_plugin('fusion', config)"
        )
    given, file = as_config(config)
    found = left_open(given) if given is not None and file is None else []
    configured = given or Config()
    if isinstance(context.get("checkpoint"), str):
        context["checkpoint"] = Path(context["checkpoint"])
    if isinstance(plugin, str) and plugin != configured.plugin.name:
        overrides = Overrides(plugin, context.get("checkpoint"))
        configured, _ = with_usual_range(overrides.apply(configured), found)
    resolved = resolve_device(device, context.get("backend", configured.engine.backend))
    loaded = load_plugin(plugin) if isinstance(plugin, str) else plugin
    try:
        start_plugin(loaded, replace(context_of(configured, resolved), **context))
    except BaseException:
        with suppress(PerceptionError):
            close_plugin(loaded)
        raise
    return OpenedPlugin(loaded, configured.control_camera)


def start_plugin(plugin: Plugin, context: Context) -> None:
    """Open a plugin. The caller must close it even if opening fails.

    Raises:
        PerceptionError: The plugin does not open, or does not accept a batch of that size.
    """
    manifest = plugin.manifest
    if context.batch > manifest.max_batch:
        raise PluginError(
            f"engine.batch is {context.batch}, "
            f"but plugin '{manifest.name}' takes at most {manifest.max_batch}"
        )
    with plugin_code(f"plugin '{manifest.name}' did not open"):
        plugin.open(context)


def close_plugin(plugin: Plugin) -> None:
    """Close a plugin.

    Raises:
        PerceptionError: It does not close.
    """
    with plugin_code(f"plugin '{plugin.manifest.name}' did not close"):
        plugin.close()


def describe_plugin(plugin: Plugin) -> dict[str, str]:
    """Return how an open plugin describes itself.

    Raises:
        PerceptionError: It fails to.
    """
    with plugin_code(f"plugin '{plugin.manifest.name}' does not describe itself"):
        return {str(key): str(value) for key, value in plugin.describe().items()}


def context_of(config: Config, device: str = "auto") -> Context:
    """Return the context that a configuration gives a plugin. `device` is `auto`, `cpu` or `cuda`.

    Raises:
        ConfigError: The device is none of these, or is not there.
    """
    sensors, engine, defaults = config.sensors, config.engine, Context()
    status = next(iter(sensors.statuses.values()), None)  # the steps of all are the same
    limits = [section.max_range_m for section in sensors.ranges.values()]
    return Context(
        device=resolve_device(device, engine.backend),
        seed=engine.seed,
        checkpoint=config.plugin.checkpoint,
        options=config.plugin.options,
        status=tuple(name for section in sensors.statuses.values() for name in section.fields),
        status_steps=status.steps if status else defaults.status_steps,
        status_rate_hz=status.rate_hz if status else defaults.status_rate_hz,
        max_range_m=max(limits, default=defaults.max_range_m),
        base_frame=config.base_frame,
        batch=engine.batch,
        threads=engine.threads,
        backend=engine.backend,
        precision=engine.precision,
    )


def resolve_device(wanted: str, backend: str = "auto") -> str:
    """Return `cpu` or `cuda` for `auto`, `cpu` or `cuda`.

    Args:
        wanted: `auto` is the GPU where there is one and the backend can use it.
        backend: The name of the backend.

    Raises:
        ConfigError: `wanted` is none of these, or it is `cuda` and torch finds no device.
    """
    if wanted not in ("auto", "cpu", "cuda"):
        raise ConfigError([f"device: expected auto, cpu or cuda, found {wanted!r}"])
    if wanted == "cpu" or (wanted == "auto" and only_on_cpu(backend)):
        return "cpu"
    if cuda_devices() > 0:
        return "cuda"
    if wanted == "cuda":
        raise ConfigError(["device: cuda was asked for, but torch finds no NVIDIA GPU; use cpu or auto"])
    return "cpu"
