"""Settings of the ROS hosts: `--set KEY=VALUE`, or the parameters of a launch file."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, cast, get_args

from perception.errors import ConfigError
from perception.text import did_you_mean
from perception_plugins.hosts.ros.ros_outputs import ControlMessage, ControlOptions

TransportName = Literal["zenoh", "dds", "rclpy"]
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}(/[A-Za-z][A-Za-z0-9_]{0,63}){0,7}")
_MOST_DOMAIN = 232  # the highest that has free ports


@dataclass(frozen=True, slots=True)
class RosSettings:
    """How a node appears in ROS, and what it publishes.

    Attributes:
        node: Its name; outputs are on `/NODE/detections`, `/NODE/detections_3d`, `/NODE/control`.
        control: How drive commands are made.
        use_sim_time: Take the time from `/clock`.
        transport: `zenoh` (as rmw_zenoh_cpp), `dds` (as the others), or `rclpy`; not in ROS 1.
        domain: `ROS_DOMAIN_ID`.
        connect, listen: Endpoints of Zenoh.
        type_hashes: Whether keys of Zenoh carry hashes of types, as in all versions after Humble.
        definitions: Folders with definitions of further message types.
    """

    node: str = "perception"
    control: ControlOptions = field(default_factory=ControlOptions)
    use_sim_time: bool = False
    transport: TransportName = "dds"
    domain: int = 0
    connect: tuple[str, ...] = ()
    listen: tuple[str, ...] = ()
    type_hashes: bool = True
    definitions: tuple[str, ...] = ()


NODE_KEYS = ("node", "control", "wheelbase_m", "use_sim_time", "definitions")
"""The settings of every ROS host."""
ROS2_KEYS = (*NODE_KEYS, "transport", "domain", "connect", "listen", "type_hashes")
"""The settings of the ROS 2 host."""


def read_settings(options: Mapping[str, str], keys: tuple[str, ...], ahead_s: float) -> RosSettings:
    """Return the settings from texts; what is left out is taken from the environment, as ROS does.

    Args:
        options: Setting -> text.
        keys: The settings that this host has.
        ahead_s: How far ahead of a tick the command of the control head is.

    Raises:
        ConfigError: With every error.
    """
    errors: list[str] = []
    for key in options:
        if key not in keys:
            hint = did_you_mean(key, keys, "; ") or f"; there are {', '.join(keys)}"
            errors.append(f"{key}: no setting of this host{hint}")
    text = _Texts(options, errors)
    control = text.choice("control", get_args(ControlMessage), "twist")
    settings = RosSettings(
        node=text.matching("node", _NAME, "perception"),
        control=ControlOptions(cast(ControlMessage, control), text.length("wheelbase_m"), ahead_s),
        use_sim_time=text.flag("use_sim_time", False),
        transport=cast(TransportName, text.choice("transport", get_args(TransportName), _middleware())),
        domain=text.whole("domain", os.environ.get("ROS_DOMAIN_ID", "").strip() or "0", _MOST_DOMAIN),
        connect=text.listed("connect"),
        listen=text.listed("listen"),
        type_hashes=text.flag("type_hashes", True),
        definitions=text.listed("definitions"),
    )
    errors += [
        f"{key}: is for transport=zenoh; found transport={settings.transport}"
        for key in ("connect", "listen")
        if key in options and settings.transport != "zenoh"
    ]
    if errors:
        raise ConfigError(errors, head="settings of the host (--set)")
    return settings


def _middleware() -> TransportName:
    return "zenoh" if os.environ.get("RMW_IMPLEMENTATION") == "rmw_zenoh_cpp" else "dds"


class _Texts:
    """Reads values from texts; errors are appended to a list."""

    def __init__(self, options: Mapping[str, str], errors: list[str]) -> None:
        self._options, self._errors = options, errors

    def choice(self, key: str, words: tuple[str, ...], default: str) -> str:
        text = self._options.get(key, default)
        if text not in words:
            self._expect(key, f"one of {', '.join(words)}", text)
        return text

    def matching(self, key: str, pattern: re.Pattern[str], default: str) -> str:
        text = self._options.get(key, default).strip("/")
        if not pattern.fullmatch(text):
            self._expect(key, "a name of letters, digits and _", text)
        return text

    def flag(self, key: str, default: bool) -> bool:
        text = self._options.get(key, str(default)).lower()
        if text not in ("true", "false"):
            self._expect(key, "true or false", text)
        return text == "true"

    def whole(self, key: str, default: str, most: int) -> int:
        text = self._options.get(key, default)
        if not (text.isdecimal() and len(text) < 9 and int(text) <= most):
            self._expect(key, f"a whole number up to {most}", text)
            return 0
        return int(text)

    def length(self, key: str) -> float | None:
        if key not in self._options:
            return None
        try:
            value = float(self._options[key])
        except ValueError:
            value = 0.0
        if not 0.0 < value < 100.0:
            self._expect(key, "metres above 0", self._options[key])
        return value

    def listed(self, key: str) -> tuple[str, ...]:
        return tuple(part.strip() for part in self._options.get(key, "").split(",") if part.strip())

    def _expect(self, key: str, expected: str, text: str) -> None:
        self._errors.append(f"{key}: expected {expected}, found {text!r:.60}")
