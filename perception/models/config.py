"""What a model is: its sizes, its classes and channels, its kind of fusion. No torch.

Input size in pixels; widths in channels. The strides of the feature maps are fixed: 4, 8 and 16.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any

from perception.errors import ConfigError
from perception.types import HEADS, Quantity, extra_specs

STRIDES = (4, 8, 16)
FUSIONS = ("gated", "concat", "attention")
LOSS_FAMILIES = ("laplace", "gaussian")
LISTS = (
    *("classes", "widths", "blocks", "splat_widths", "control", "status"),
    *("adapters", "control_widths", "extra_heads"),
)
LATER = ("adapters", "control_widths", "control_status", "extra_heads")
"""What the first checkpoints did not have."""
MAX_HIDDEN = 8
SMALL = "small"
"""The default backbone, in plain torch. Any other name is looked up in torchvision."""


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The shape of a model, checked when it is made.

    Attributes:
        classes: Names of the classes, in the order of the heatmap's channels.
        control, status: Channels, in the order of the arrays' last dimension.
        input_height, input_width: Pixels; multiples of 32 and 64.
        returns: M, range returns of one sample.
        steps: T, steps of the status window.
        detections: K, detections of one sample.
        backbone: `small`, or a name in torchvision.models (`resnet18`).
        widths, blocks: Channels and residual blocks of the small backbone at each stride.
        fused_width: Channels of the shared maps.
        range_width: Channels of the pooled range feature.
        splat_widths: Channels of the range features that are splatted into the maps, at each stride.
        splat_radius: Half the base of the triangular kernel, in cells of each map.
        status_width: Channels of the status memory.
        fusion: `gated`, `concat` or `attention`.
        loss_family: `laplace` or `gaussian`: what the scales of the regressions are scales of.
        adapters: Heads (`class`, `box`, `control`) that get layers of their own on the shared map.
        control_widths: Units of the control head's hidden layers.
        control_status: Whether the control head also reads the status memory as it is, beside what is fused.
        extra_heads: Names of registered heads (`perception.types.register_head`) that the model has beside
            class, box and control.

    Raises:
        ConfigError: Values are out of their range; all of them at once.
    """

    classes: tuple[str, ...] = ("person", "vehicle", "cyclist", "cone", "barrel")
    control: tuple[Quantity, ...] = (Quantity("curvature", "1/m"), Quantity("acceleration", "m/s2"))
    status: tuple[Quantity, ...] = (
        Quantity("speed", "m/s"),
        Quantity("yaw_rate", "rad/s"),
        Quantity("acceleration", "m/s2"),
    )
    input_height: int = 256
    input_width: int = 512
    returns: int = 512
    steps: int = 16
    detections: int = 100
    backbone: str = SMALL
    widths: tuple[int, ...] = (32, 64, 96)
    blocks: tuple[int, ...] = (1, 2, 3)
    fused_width: int = 48
    range_width: int = 64
    splat_widths: tuple[int, ...] = (16, 32, 32)
    splat_radius: float = 1.5
    status_width: int = 64
    fusion: str = "gated"
    loss_family: str = "laplace"
    adapters: tuple[str, ...] = ()
    control_widths: tuple[int, ...] = (128,)
    control_status: bool = False
    extra_heads: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        errors = [*self._name_errors(), *self._size_errors()]
        if errors:
            raise ConfigError(errors, "of the model")

    def _name_errors(self) -> list[str]:
        errors = []
        named = {
            "classes": self.classes,
            "control": tuple(q.name for q in self.control),
            "status": tuple(q.name for q in self.status),
        }
        for key, names in named.items():
            if not names or len(names) > 256 or any(not isinstance(n, str) or not n for n in names):
                errors.append(f"{key}: expected 1 to 256 names, found {list(names)!r:.100}")
            elif len(set(names)) != len(names):
                errors.append(f"{key}: expected different names, found {list(names)!r:.100}")
        for key, allowed in (("fusion", FUSIONS), ("loss_family", LOSS_FAMILIES)):
            if getattr(self, key) not in allowed:
                errors.append(f"{key}: expected {' or '.join(allowed)}, found {getattr(self, key)!r}")
        for head in self.adapters:
            if head not in HEADS:
                near = get_close_matches(str(head), HEADS, n=1)
                hint = f", did you mean {near[0]}?" if near else ""
                errors.append(f"adapters: expected heads of {', '.join(HEADS)}; found {head!r:.60}{hint}")
        if len(set(map(str, self.adapters))) != len(self.adapters):
            errors.append(f"adapters: expected different heads, found {list(self.adapters)!r:.100}")
        errors += self._extra_head_errors()
        if not isinstance(self.backbone, str) or not self.backbone.isidentifier():
            errors.append(
                f"backbone: expected '{SMALL}' or a name in torchvision.models, found {self.backbone!r}"
            )
        return errors

    def _extra_head_errors(self) -> list[str]:
        known = [spec.name for spec in extra_specs() if spec.module]
        errors = []
        for name in self.extra_heads:
            if name not in known:
                near = get_close_matches(str(name), known, n=1)
                hint = f", did you mean {near[0]}?" if near else "; is the package that brings it installed?"
                there = ", ".join(known) or "(none is registered)"
                errors.append(f"extra_heads: expected heads of {there}; found {name!r:.60}{hint}")
        if len(set(map(str, self.extra_heads))) != len(self.extra_heads):
            errors.append(f"extra_heads: expected different heads, found {list(self.extra_heads)!r:.100}")
        return errors

    def _size_errors(self) -> list[str]:
        limits = {  # smallest, largest, multiple of
            "input_height": (32, 4096, 32),
            "input_width": (64, 4096, 64),
            "returns": (1, 8192, 1),
            "steps": (1, 1024, 1),
            "detections": (1, 1000, 1),
            "fused_width": (8, 1024, 8),
            "range_width": (8, 1024, 2),
            "status_width": (8, 1024, 2),
        }
        values: dict[str, Any] = {key: getattr(self, key) for key in limits}
        for key, limit in (("widths", (8, 2048, 2)), ("blocks", (1, 64, 1)), ("splat_widths", (2, 1024, 2))):
            several = getattr(self, key)
            if len(several) != len(STRIDES):
                return [f"{key}: expected one number for each stride {STRIDES}, found {several!r:.100}"]
            for index, value in enumerate(several):
                limits[f"{key}[{index}]"], values[f"{key}[{index}]"] = limit, value
        if not 1 <= len(self.control_widths) <= MAX_HIDDEN:
            return [f"control_widths: expected 1 to {MAX_HIDDEN} numbers, found {self.control_widths!r:.100}"]
        for index, value in enumerate(self.control_widths):
            limits[f"control_widths[{index}]"] = (8, 1024, 1)
            values[f"control_widths[{index}]"] = value
        errors = [
            f"{key}: expected a whole number {low} to {high}, a multiple of {step}; found {values[key]!r:.60}"
            for key, (low, high, step) in limits.items()
            if not _is_whole(values[key]) or not low <= values[key] <= high or values[key] % step
        ]
        if not isinstance(self.control_status, bool):
            errors.append(f"control_status: expected true or false, found {self.control_status!r:.100}")
        if isinstance(self.splat_radius, bool) or not isinstance(self.splat_radius, int | float):
            errors.append(f"splat_radius: expected a number, found {self.splat_radius!r:.100}")
        elif not 0.5 <= self.splat_radius <= 16:
            errors.append(f"splat_radius: expected cells from 0.5 to 16, found {self.splat_radius!r}")
        if not errors and self.detections > self.cells * len(self.classes):
            errors.append(
                f"detections: expected at most one for each cell and class, found {self.detections}"
            )
        return errors

    @property
    def cells(self) -> int:
        """Cells of the output map, h x w."""
        return (self.input_height // STRIDES[0]) * (self.input_width // STRIDES[0])

    @property
    def backbone_weights(self) -> int:
        """Weights of the small backbone's residual blocks: a lower bound of the model's. 0 for another."""
        if self.backbone != SMALL:
            return 0
        return sum(
            count * 2 * 9 * width * width for count, width in zip(self.blocks, self.widths, strict=True)
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it; `from_dict` gives it back. What came later is not spoken of where it is not
        used, so that checkpoints stay readable by versions that do not know it."""
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        for field in fields(self):
            if field.name in LATER and plain[field.name] == field.default:
                del plain[field.name]
        for key in ("control", "status"):
            plain[key] = [q._asdict() for q in plain[key]]
        return {key: list(value) if isinstance(value, tuple) else value for key, value in plain.items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ModelConfig:
        """The configuration that JSON held.

        Raises:
            ConfigError: It has unknown keys or values out of their range.
        """
        known = {f.name for f in fields(cls)}
        errors = []
        for key in sorted(set(data) - known, key=str):
            near = get_close_matches(str(key), known, n=1)
            errors.append(f"{key}: unknown key{f', did you mean {near[0]}?' if near else ''}")
        plain = {key: value for key, value in data.items() if key in known}
        for key in LISTS:
            if key in plain and not isinstance(plain[key], list | tuple):
                errors.append(f"{key}: expected a list, found {plain[key]!r:.100}")
            elif key in plain and key in ("control", "status"):
                plain[key], wrong = _quantities(key, plain[key])
                errors += wrong
            elif key in plain:
                plain[key] = tuple(plain[key])
        if errors:
            raise ConfigError(errors, "of the model")
        return cls(**plain)


def _quantities(key: str, items: Sequence[Any]) -> tuple[tuple[Quantity, ...], list[str]]:
    found, errors = [], []
    for index, item in enumerate(items):
        if (
            isinstance(item, Mapping)
            and set(item) == {"name", "unit"}
            and all(isinstance(v, str) for v in item.values())
        ):
            found.append(Quantity(item["name"], item["unit"]))
        else:
            errors.append(f"{key}[{index}]: expected {{name, unit}}, found {item!r:.100}")
    return tuple(found), errors


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
