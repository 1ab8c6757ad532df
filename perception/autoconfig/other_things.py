"""Words in names that say whose number it is, where that is not the vehicle: the wind's speed, a motor's."""

from __future__ import annotations

import re
from collections.abc import Sequence

_AROUND = "wind weather traffic lead leader obstacle obstacles object objects tracks pedestrian pedestrians"
_BOUNDS = "limit limits max maximum min minimum"
_SHAFTS = "motor motors engine fan fans rotor propeller pump winch conveyor joint joints"
_RADARS = "radar radars mmwave"
_PARTS = f"{_SHAFTS} {_RADARS} turret arm gripper manipulator network wifi cpu gpu disk"
_PIECES = (
    "wheel wheels left right steer steering theta yaw heading roll pitch angular rotation pan tilt shoulder "
    "elbow wrist hip knee ankle"
)
_VEHICLE = "vehicle ego car robot rover base chassis body platform state status motion odom gps gnss can obd"
_PIECE_WORDS, _VEHICLE_WORDS = frozenset(_PIECES.split()), frozenset(_VEHICLE.split())
_OTHERS = frozenset(f"{_AROUND} {_BOUNDS} {_PARTS}".split())
MOVED = frozenset(f"{_SHAFTS} {_RADARS}".split())
"""Parts whose topic may tell the velocity of the vehicle: a velocity in space is not that of a shaft, but of
what it drives; a radar tells the speeds of what it sees, and from these that of the vehicle."""


def other_thing(parts: Sequence[frozenset[str]]) -> str:
    """Return the word by which a name is of another thing than the vehicle; empty where none is.

    An engine may tell the speed of the vehicle (`engine.vehicle_speed`).

    Args:
        parts: The words of each part of a topic or of a dotted path, in small letters.
    """
    others = _OTHERS - MOVED if parts and "vehicle" in parts[-1] else _OTHERS
    return next((word for words in parts for word in sorted(words & others)), "")


def of_the_vehicle(paths: Sequence[str]) -> list[str]:
    """Return the paths that may be of the vehicle, of dotted paths that end in one name (`speed`).

    A part of a vehicle (`left_wheel.speed`, `theta.vel`) is none; where several things have one, only those
    called a vehicle are (`base.speed` beside `lift.speed`).
    """
    plain = {path: re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", path).lower() for path in paths}
    words = {path: frozenset(re.split(r"[^a-z0-9]+", name)) for path, name in plain.items()}
    whole = [path for path in paths if not words[path] & _PIECE_WORDS]
    named = [path for path in whole if words[path] & _VEHICLE_WORDS]
    return named or (whole if len(whole) < 2 else [])
