"""Words in names that say whose number it is, where that is not the vehicle: the wind's speed, a motor's."""

from __future__ import annotations

from collections.abc import Iterable

_AROUND = "wind weather traffic lead leader obstacle obstacles object objects tracks pedestrian pedestrians"
_BOUNDS = "limit limits max maximum min minimum"
_PARTS = (
    "motor motors engine fan fans rotor propeller pump winch turret conveyor arm gripper manipulator joint "
    "joints network wifi cpu gpu disk"
)
_OTHERS = frozenset(f"{_AROUND} {_BOUNDS} {_PARTS}".split())


def other_thing(parts: Iterable[frozenset[str]]) -> str:
    """Return the word by which a name is of another thing than the vehicle; empty where none is.

    Args:
        parts: The words of each part of a topic or of a dotted path, in small letters.
    """
    return next((word for words in parts for word in sorted(words & _OTHERS)), "")
