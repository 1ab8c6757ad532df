"""The parts of a host from its job: the configuration, the plugin, the recording, the loop."""

from __future__ import annotations

import time
from collections.abc import Callable

from perception.autoconfig import ConfigChoice
from perception.autoconfig.plugin_inputs import with_sensors_of_plugin
from perception.config import load_config
from perception.config.schema import TruthConfig
from perception.path_guard import Write, check_paths
from perception.pipeline import resolve_device
from perception.pipeline.files_read import files_read
from perception.pipeline.host_job import HostJob
from perception.pipeline.isolation import IsolatedPlugin, IsolationLimits
from perception.plugin import Plugin, installed_manifest, load_plugin
from perception_plugins.hosts.loop import HostLoop
from perception_plugins.hosts.outcomes import HostFrame
from perception_plugins.hosts.recording import HostRecording


def host_config(job: HostJob) -> ConfigChoice:
    """Return the configuration of a host: as the file says, for one sample at a time, without truth; and the
    sensors that the plugin does not take, which are left out as in replay.

    Raises:
        ConfigError: The file is wrong.
    """
    config = job.overrides.apply(load_config(job.config))
    engine = config.engine.model_copy(update={"batch": 1, "workers": None})
    config = config.model_copy(update={"engine": engine, "truth": TruthConfig()})
    return with_sensors_of_plugin(ConfigChoice(config, ()))


def open_loop(
    job: HostJob,
    host: str,
    publish: Callable[[HostFrame], None],
    clock: Callable[[], int] | None = time.time_ns,
) -> HostLoop:
    """Return the loop of a job, not started.

    Args:
        host: The name of the host.
        publish, clock: As `HostLoop` takes them.

    Raises:
        ConfigError, NoPluginError, PluginError: The job cannot be done.
    """
    choice = host_config(job)
    config = choice.config
    record = None
    if job.record is not None:
        record = HostRecording(job.record, host)
        check_paths(files_read([], config, job.config), [Write("--record", record.path)])
    device = resolve_device(job.device, config.engine.backend)
    plugin = _plugin(config.plugin.name, job)
    return HostLoop(config, plugin, publish, clock, record, device, job.queue, host, choice.warnings)


def _plugin(name: str, job: HostJob) -> Plugin:
    if not job.isolate:
        return load_plugin(name)
    limits = IsolationLimits(job.answer_s, job.memory_mb)
    return IsolatedPlugin(installed_manifest(name), limits, in_order=True)
