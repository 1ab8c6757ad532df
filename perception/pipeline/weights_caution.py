"""A warning at the end of a run whose log is unlike what a plugin's own weights were trained on."""

from __future__ import annotations

from perception.config import Config
from perception.logs import Log
from perception.pipeline.replay_summary import Warned
from perception.plugin.manifest import Manifest


def weights_caution(log: Log, config: Config, manifest: Manifest) -> Warned | None:
    """Return the caution of a plugin's own weights where they saw pictures of a log that is not simulated."""
    own = config.plugin.checkpoint is None
    if not (manifest.caution and own and config.sensors.cameras) or log.survey.simulated:
        return None
    return Warned("weights_caution", manifest.caution)
