"""The specification of a log's cache: how its samples become arrays, and the digest that names its folder."""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from perception.autoconfig import complete_config
from perception.autoconfig.class_words import class_words
from perception.caches import sources_sha256
from perception.config import Config
from perception.errors import ConfigError, LogError
from perception.files import file_sha256
from perception.logs import Log
from perception.models.config import ModelConfig
from perception.models.preprocess import InputSpec
from perception.remote import RemotePath
from perception.types import Quantity, head_spec

LAYOUT = 2
"""Version of the cache's files; raised when their layout changes."""

SOURCES = (
    *(f"{folder}/**/*.py" for folder in ("align", "models/preprocess", "logs", "geometry")),
    *(f"types/{name}.py" for name in ("messages", "placement", "rig", "samples", "truth")),
    *(f"training/data/{name}.py" for name in ("cache_spec", "cache_writer", "sample_cache")),
)
"""The code of this package between a log and its arrays."""


@dataclass(frozen=True, slots=True)
class CacheSpec:
    """How logs become arrays.

    Attributes:
        model: The model that is trained or scored with them.
        spec: Shapes and rules of its inputs.
        config: How logs are read; None: chosen by schema for each log.
        classes: A log's class name -> the model's, in addition to those of `config`.
    """

    model: ModelConfig
    spec: InputSpec
    config: Config | None = None
    classes: tuple[tuple[str, str], ...] = ()

    def config_for(self, log: Log) -> Config:
        """Return the complete configuration of a log.

        Raises:
            ConfigError: The log does not fit the configuration, several configurations fit the log, or fields
                of status or control are configured that the model has no channel for.
            LogError: The log is empty.
        """
        config = complete_config(log, self.config).config
        if self.config is not None:
            self._check_channels(self.config)
        else:  # found for the default weights: here returns are used as far as the model's own reach
            ranges = {
                name: section.model_copy(update={"max_range_m": self.spec.max_range_m})
                for name, section in config.sensors.ranges.items()
            }
            config = config.model_copy(update={"sensors": config.sensors.replaced(ranges)})
        if self.classes:  # a mapping drops what it does not list, and these are in addition
            words = {word: word for word in (*self.model.classes, *class_words(log, config))}
            classes = {**(config.truth.classes or words), **dict(self.classes)}
            config = config.model_copy(update={"truth": config.truth.model_copy(update={"classes": classes})})
        changed = {
            name: status.model_copy(update={"steps": self.model.steps})
            for name, status in config.sensors.statuses.items()
            if status.steps != self.model.steps
        }
        if changed:
            config = config.model_copy(update={"sensors": config.sensors.replaced(changed)})
        return config

    def _check_channels(self, config: Config) -> None:
        """Raise for configured values of status and control that the model has no channel for."""
        truth, errors = config.truth, []
        for name, status in config.sensors.statuses.items():
            errors += _unknown("status", f"sensors.{name}.fields", status.fields, self.model.status)
        if "control_fields" in truth.model_fields_set:
            errors += _unknown("control", "truth.control_fields", truth.control_fields, self.model.control)
        if errors:
            raise ConfigError(errors)

    def key(self, log: Path, config: Config) -> str:
        """Return the digest of a log's bytes, of how it is read and prepared, and of the code that does it.

        Raises:
            LogError: The log cannot be read.
        """
        try:
            log_sha256 = _content_key(log)
        except OSError as error:
            raise LogError(f"{log}: cannot be read: {error.strerror or error}") from None
        # Only the sections that samples and truth depend on; weights and engines change nothing here.
        sections = {"reference", "reference_rate_hz", "control_camera", "wait_ms", "sensors", "truth"}
        parts = {
            "layout": LAYOUT,
            "log": log_sha256,
            "code": sources_sha256(Path(__file__).resolve().parents[2], SOURCES),
            "config": config.model_dump(mode="json", include=sections),
            "spec": asdict(self.spec),
            "classes": self.model.classes,
            "control": [quantity.name for quantity in self.model.control],
        }
        if self.model.extra_heads:
            parts["extra"] = {name: head_spec(name).truth for name in self.model.extra_heads}
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def _unknown(key: str, path: str, fields: Iterable[str], channels: Sequence[Quantity]) -> list[str]:
    """Return one error if the configuration names channels that the model does not have."""
    unknown = [name for name in fields if name not in {channel.name for channel in channels}]
    if not unknown:
        return []
    wanted = ", ".join(
        f"{{name: {c.name}, unit: {c.unit}}}" for c in (*channels, *(Quantity(n, "?") for n in unknown))
    )
    return [
        f"{path}: the model has no {key} channel {', '.join(unknown)}; leave it out, or train one: "
        f"model.{key}: [{wanted}]"
    ]


def _content_key(log: Path) -> str:
    """Return what changes with the content of a log: its hash, or the place, size and tag of a remote one.

    Raises:
        OSError: It cannot be read, or the server says nothing that changes with the content.
    """
    if not isinstance(log, RemotePath):
        return file_sha256(log)
    if not log.file.tag:
        raise OSError(errno.ENOTSUP, "the server gives neither ETag nor time; download it first", str(log))
    return f"{log.url} {log.file.size} {log.file.tag}"
