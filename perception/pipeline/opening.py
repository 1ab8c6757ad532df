"""How a host opens a plugin: what it says to it, and what is said when that fails."""

from __future__ import annotations

from perception.config import Config
from perception.errors import PerceptionError, PluginError
from perception.plugin import Context, Plugin


def open_plugin(plugin: Plugin, config: Config, device: str) -> None:
    """Open a plugin under a configuration.

    Raises:
        PerceptionError: It does not open, or takes no batch of that size.
    """
    manifest, batch = plugin.manifest, config.engine.batch
    if batch > manifest.max_batch:
        raise PluginError(
            f"engine.batch is {batch}, but plugin '{manifest.name}' takes at most {manifest.max_batch}"
        )
    try:
        plugin.open(context_of(config, device))
    except PerceptionError:
        raise
    except Exception as error:
        line = " ".join(str(error).split())
        raise PluginError(f"plugin '{manifest.name}' did not open: {type(error).__name__}: {line}") from error


def context_of(config: Config, device: str) -> Context:
    """What a configuration says to a plugin."""
    status, ranges, engine = config.sensors.status, config.sensors.range, config.engine
    base = Context()
    return Context(
        device=device,
        seed=engine.seed,
        checkpoint=config.plugin.checkpoint,
        options=config.plugin.options,
        status=tuple(status.fields) if status else (),
        status_steps=status.steps if status else base.status_steps,
        status_rate_hz=status.rate_hz if status else base.status_rate_hz,
        max_range_m=ranges.max_range_m if ranges else base.max_range_m,
        batch=engine.batch,
        threads=engine.threads,
        backend=engine.backend,
        precision=engine.precision,
    )
