"""The sensors that a plugin takes, where its manifest says how many of each kind."""

from __future__ import annotations

from dataclasses import replace

from perception.autoconfig.choose_config import ConfigChoice
from perception.autoconfig.unused_topics import UnusedTopic
from perception.config import Config, SensorsConfig
from perception.errors import PluginError
from perception.plugin import installed_manifest


def with_sensors_of_plugin(choice: ConfigChoice) -> ConfigChoice:
    """Return a choice without the sensors beyond those that the plugin takes, which are named.

    The reference sensor is kept, then those that come first in the configuration.
    """
    config = choice.config
    try:
        manifest = installed_manifest(config.plugin.name)
    except PluginError:  # opening the plugin says what is wrong
        return choice
    left_out = {
        kind: beyond for kind, most in manifest.most.items() if (beyond := _beyond(config, kind, most))
    }
    if not left_out:
        return choice
    changed = _without(config, {name for names in left_out.values() for name in names})
    warnings = [
        f"{', '.join(of_kind)}: not used, since the plugin {manifest.name} takes {manifest.most[kind]} of "
        f"the kind {kind} (inputs in its manifest)"
        for kind, of_kind in left_out.items()
    ]
    roles = config.roles()
    reason = f"the plugin {manifest.name} takes fewer sensors of its kind"
    unused = [UnusedTopic(topic, "plugin_takes_fewer", reason) for topic in {*roles} - {*changed.roles()}]
    return replace(
        choice,
        config=changed,
        warnings=(*choice.warnings, *warnings),
        unused=tuple(sorted((*choice.unused, *unused), key=lambda item: item.topic)),
    )


def _beyond(config: Config, kind: str, most: int) -> list[str]:
    """Return the names of the sensors of a kind that a plugin does not take."""
    names = list(config.sensors.of_kind(kind))
    first = [name for name in (config.reference, config.control_camera) if name in names]
    kept = list(dict.fromkeys([*first, *names]))[:most]
    return [name for name in names if name not in kept]


def _without(config: Config, names: set[str]) -> Config:
    kept = {name: section for name, section in config.sensors.named.items() if name not in names}
    sensors = {name: {"kind": section.kind, **section.model_dump()} for name, section in kept.items()}
    boxes = {name: topic for name, topic in config.truth.camera_boxes.items() if name not in names}
    return config.model_copy(
        update={
            "sensors": SensorsConfig.model_validate(sensors),
            "truth": config.truth.model_copy(update={"camera_boxes": boxes}),
        }
    )
