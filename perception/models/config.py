"""The configuration of a model: sizes, classes, channels, kind of fusion. No torch.

Input size in pixels; widths in channels. There are feature maps of three strides: `ModelConfig.strides`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from perception.errors import ConfigError
from perception.text import did_you_mean
from perception.types import HEADS, Quantity, extra_specs

LEVELS = 3
"""Feature maps of every branch; each has half the cells of the one before along each axis."""
STEMS = ("convolutions", "patch")
FUSIONS = ("gated", "concat", "attention")
LOSS_FAMILIES = ("laplace", "gaussian")
LISTS = (
    *("classes", "widths", "blocks", "splat_widths", "control", "status"),
    *("adapters", "control_widths", "extra_heads"),
)
LATER = (
    *("adapters", "control_widths", "control_status", "extra_heads"),
    *("stride", "stem", "shared_tower", "split", "tower_width", "stem_width"),
)
"""Fields that the first checkpoints did not have."""
MAX_HIDDEN = 8
HEIGHT_STEP, WIDTH_STEP = 32, 64
"""Sizes of the input are multiples of these, in pixels."""
SMALL = "small"
"""The default backbone, in plain torch. Any other name is looked up in torchvision."""


_EACH = (LEVELS, LEVELS)


def _whole(default: Any, low: int, high: int, step: int, count: tuple[int, int] | None = None) -> Any:
    """Define a field of whole numbers: default, smallest, largest, multiple, and how many there may be."""
    return field(default=default, metadata={"low": low, "high": high, "step": step, "count": count})


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The shape of a model, checked when it is made.

    Attributes:
        classes: Names of the classes, in the order of the heatmap's channels.
        control, status: Channels, in the order of the arrays' last dimension.
        input_height, input_width: Pixels; multiples of 8 and 16 times the stride.
        stride: Pixels between the cells of the finest map, which class and box are read from: 4 or 8. The
            other two maps have twice and four times as many.
        split: Parts of a cell of the finest map along each axis that class and box are predicted for: 1 or 2.
            With 2 the output map has half the stride at little more cost.
        tower_width: Channels of the towers of class and box; 0: as many as the shared maps have.
        stem: The small backbone's way to the finest map: `convolutions`, of kernel 4 and stride 2 each, or
            `patch`: the first has stride 4.
        stem_width: Channels of the stem's layers before the last; 0: each has half those of the next one.
        shared_tower: Whether class and box are read from one tower, or each from one of its own.
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
        loss_family: `laplace` or `gaussian`: the distribution that the scales of the regressions belong to.
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
    input_height: int = _whole(256, HEIGHT_STEP, 4096, HEIGHT_STEP)
    input_width: int = _whole(512, WIDTH_STEP, 4096, WIDTH_STEP)
    returns: int = _whole(512, 1, 8192, 1)
    steps: int = _whole(16, 1, 1024, 1)
    detections: int = _whole(100, 1, 1000, 1)
    backbone: str = SMALL
    widths: tuple[int, ...] = _whole((32, 64, 96), 8, 2048, 2, _EACH)
    blocks: tuple[int, ...] = _whole((1, 2, 3), 1, 64, 1, _EACH)
    fused_width: int = _whole(48, 8, 1024, 8)
    range_width: int = _whole(64, 8, 1024, 2)
    splat_widths: tuple[int, ...] = _whole((16, 32, 32), 2, 1024, 2, _EACH)
    splat_radius: float = 1.5
    status_width: int = _whole(64, 8, 1024, 2)
    fusion: str = "gated"
    loss_family: str = "laplace"
    adapters: tuple[str, ...] = ()
    control_widths: tuple[int, ...] = _whole((128,), 8, 1024, 1, (1, MAX_HIDDEN))
    control_status: bool = False
    extra_heads: tuple[str, ...] = ()
    stride: int = _whole(4, 4, 8, 4)
    stem: str = "convolutions"
    shared_tower: bool = False
    split: int = _whole(1, 1, 2, 1)
    tower_width: int = _whole(0, 0, 1024, 8)
    stem_width: int = _whole(0, 0, 1024, 8)

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
        choices = {"fusion": FUSIONS, "loss_family": LOSS_FAMILIES, "stem": STEMS}
        for key, allowed in choices.items():
            if getattr(self, key) not in allowed:
                errors.append(f"{key}: expected {' or '.join(allowed)}, found {getattr(self, key)!r}")
        further = tuple(spec.name for spec in extra_specs() if spec.module)
        for key, known in (("adapters", HEADS), ("extra_heads", further)):
            errors += _head_errors(key, getattr(self, key), known)
        if not isinstance(self.backbone, str) or not self.backbone.isidentifier():
            errors.append(
                f"backbone: expected '{SMALL}' or a name in torchvision.models, found {self.backbone!r}"
            )
        return errors

    def _size_errors(self) -> list[str]:
        errors = []
        for entry in fields(self):
            if entry.metadata:
                errors += _whole_errors(entry.name, getattr(self, entry.name), **entry.metadata)
        for key in ("control_status", "shared_tower"):
            if not isinstance(value := getattr(self, key), bool):
                errors.append(f"{key}: expected true or false, found {value!r:.100}")
        if isinstance(self.splat_radius, bool) or not isinstance(self.splat_radius, int | float):
            errors.append(f"splat_radius: expected a number, found {self.splat_radius!r:.100}")
        elif not 0.5 <= self.splat_radius <= 16:
            errors.append(f"splat_radius: expected cells from 0.5 to 16, found {self.splat_radius!r}")
        if not errors:
            errors += self._divisibility_errors()
        if not errors and self.stem_width and (self.backbone != SMALL or self.stem_layers < 2):
            errors.append(
                "stem_width: expected 0, as the stem has one layer alone or the backbone is torchvision's; "
                f"found {self.stem_width}"
            )
        if not errors and self.detections > self.cells * len(self.classes):
            errors.append(
                f"detections: expected at most one for each cell and class, found {self.detections}"
            )
        return errors

    def _divisibility_errors(self) -> list[str]:
        """Return the errors of a size that the coarsest map, or the control head's places, do not divide."""
        errors = []
        for key, step in (("input_height", 8 * self.stride), ("input_width", 16 * self.stride)):
            size = getattr(self, key)
            if size % step:
                errors.append(f"{key}: expected a multiple of {step} at stride {self.stride}; found {size}")
        return errors

    @property
    def strides(self) -> tuple[int, int, int]:
        """Return the pixels between the cells of the three maps, fine to coarse."""
        return self.stride, 2 * self.stride, 4 * self.stride

    @property
    def cells(self) -> int:
        """Return the number of cells of the output map, h x w."""
        return (self.input_height // self.output_stride) * (self.input_width // self.output_stride)

    @property
    def tower_channels(self) -> int:
        """Return the channels that class and box are read from."""
        return self.tower_width or self.fused_width

    @property
    def stem_layers(self) -> int:
        """Return the number of layers from the image to the finest map of the small backbone."""
        return (self.stride // (4 if self.stem == "patch" else 2)).bit_length()

    @property
    def output_stride(self) -> int:
        """Return the pixels between the cells of the output map."""
        return self.stride // self.split

    @property
    def backbone_weights(self) -> int:
        """Return the number of weights in the small backbone's residual blocks; 0 for another backbone.

        It is a lower bound of the number in the model.
        """
        if self.backbone != SMALL:
            return 0
        return sum(
            count * 2 * 9 * width * width for count, width in zip(self.blocks, self.widths, strict=True)
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, which `from_dict` takes. Later fields are left out at their default,
        so that earlier versions read the checkpoint."""
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        for entry in fields(self):
            if entry.name in LATER and plain[entry.name] == entry.default:
                del plain[entry.name]
        for key in ("control", "status"):
            plain[key] = [q._asdict() for q in plain[key]]
        return {key: list(value) if isinstance(value, tuple) else value for key, value in plain.items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ModelConfig:
        """Return the configuration of plain values.

        Raises:
            ConfigError: It has unknown keys or values out of their range.
        """
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(data) - known, key=str)
        errors = [f"{key}: unknown key{did_you_mean(key, known)}" for key in unknown]
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
    quantities, errors = [], []
    for index, item in enumerate(items):
        if (
            isinstance(item, Mapping)
            and set(item) == {"name", "unit"}
            and all(isinstance(v, str) for v in item.values())
        ):
            quantities.append(Quantity(item["name"], item["unit"]))
        else:
            errors.append(f"{key}[{index}]: expected {{name, unit}}, found {item!r:.100}")
    return tuple(quantities), errors


def _head_errors(key: str, heads: Sequence[object], known: Sequence[str]) -> list[str]:
    errors = []
    for name in heads:
        if name not in known:
            there = ", ".join(known) or "an installed package, and none is registered"
            errors.append(f"{key}: expected heads of {there}; found {name!r:.60}{did_you_mean(name, known)}")
    if len(set(map(str, heads))) != len(heads):
        errors.append(f"{key}: expected different heads, found {list(heads)!r:.100}")
    return errors


def _whole_errors(
    key: str, value: Any, low: int, high: int, step: int, count: tuple[int, int] | None
) -> list[str]:
    """Return the errors of an integer, or of each of several."""
    if count is not None and not count[0] <= len(value) <= count[1]:
        wanted = f"one number for each of the {LEVELS} maps" if count == _EACH else f"1 to {count[1]} numbers"
        return [f"{key}: expected {wanted}, found {value!r:.100}"]
    numbers = {key: value} if count is None else {f"{key}[{i}]": number for i, number in enumerate(value)}
    return [
        f"{name}: expected a whole number {low} to {high}, a multiple of {step}; found {number!r:.60}"
        for name, number in numbers.items()
        if isinstance(number, bool)
        or not isinstance(number, int)
        or not low <= number <= high
        or number % step
    ]
