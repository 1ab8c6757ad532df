"""Checkpoints: one safetensors file that holds the weights and everything needed to use them.

The metadata are texts in the file's header: `format`, and as JSON `model, classes, control, status,
input_size, input_stats, preprocess, loss_family, calibration, trained_on, versions`. They are read without
torch and without touching a tensor. Nothing in a checkpoint is ever executed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perception.errors import CheckpointError, ConfigError
from perception.models.config import ModelConfig
from perception.models.safetensors_file import parse_json, read_header, read_whole, write_whole
from perception.models.stats import InputStats, channel_names

if TYPE_CHECKING:
    from perception.models.fusion_model import FusionModel
    from perception.models.preprocess import InputSpec

FORMAT = "perception.checkpoint/1"
WEIGHTS = "model.safetensors"
"""The checkpoint in a folder of the Hub's layout."""

DEFAULT_PREPROCESS: Mapping[str, Any] = {
    "decode_scale": 2,  # JPEGs are decoded at down to 1/scale, as `preprocess.InputSpec` says
    "interpolation": "auto",  # of the resize to the input size
    "max_range_m": 30.0,
    "status_rate_hz": 20.0,
}
KEYS = (
    "format",
    "model",
    "classes",
    "control",
    "status",
    "input_size",
    "input_stats",
    "preprocess",
    "loss_family",
    "calibration",
    "trained_on",
    "versions",
)


@dataclass(frozen=True)
class Checkpoint:
    """The metadata of a checkpoint.

    Attributes:
        config: The model.
        input_stats: Statistics of its inputs in training; from the model's buffers when saved.
        preprocess: How pixels and returns are made into inputs: the same in training, evaluation and replay.
        calibration: How the confidence was calibrated; empty: it was not.
        trained_on: The training data, one entry for each source; empty: untrained.
        versions: Of the software that wrote it.
        sha256: Of the whole file; empty for one that is not written yet.
    """

    config: ModelConfig = field(default_factory=ModelConfig)
    input_stats: InputStats | None = None
    preprocess: Mapping[str, Any] = field(default_factory=lambda: dict(DEFAULT_PREPROCESS))
    calibration: Mapping[str, Any] = field(default_factory=dict)
    trained_on: tuple[Mapping[str, Any], ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    sha256: str = ""

    @property
    def trained(self) -> bool:
        """Return whether the weights were trained."""
        return bool(self.trained_on)

    def input_spec(self, max_range_m: float | None = None, path: Path | None = None) -> InputSpec:
        """Return how inputs are prepared, as `InputSpec.of` says.

        Args:
            max_range_m: Overrides the checkpoint's.
            path: Of the checkpoint, for the error.

        Raises:
            CheckpointError: A value of `preprocess` is out of its range.
        """
        from perception.models.preprocess import InputSpec  # OpenCV is imported here, and not for metadata

        try:
            return InputSpec.of(self.config, self.preprocess, max_range_m)
        except ValueError as error:
            text = f"{path or 'the checkpoint'}: preprocess: {error}; save the checkpoint again"
            raise CheckpointError(text) from None


def weights_in(path: Path) -> Path:
    """Return the checkpoint in a folder that `FusionModel.save_pretrained` wrote; another path as it is."""
    return path / WEIGHTS if path.is_dir() else path


def read_metadata(path: Path) -> Checkpoint:
    """Return the metadata of a checkpoint, or of one in a folder, without torch and without its tensors.

    Raises:
        CheckpointError: It cannot be read, is not a checkpoint, or is damaged.
    """
    return _open(path)[0]


def load_checkpoint(path: Path) -> tuple[FusionModel, Checkpoint]:
    """Return the model of a checkpoint, or of one in a folder, on the CPU in float32 and ready for inference,
    and its metadata.

    Raises:
        CheckpointError: It cannot be read, is not a checkpoint, is damaged, or does not fit its model.
    """
    meta, data = _open(path)
    from perception.models.weights import model_from_bytes  # torch is imported here, and not for metadata

    return model_from_bytes(meta.config, data, str(path)), meta


def save_checkpoint(path: Path, model: FusionModel, meta: Checkpoint | None = None) -> Checkpoint:
    """Write a checkpoint. A file of that name is replaced only once the new one is complete.

    Args:
        meta: The metadata; configuration and statistics are taken from the model.

    Returns:
        The metadata as `load_checkpoint` will give them.

    Raises:
        CheckpointError: It cannot be written, or its metadata would be invalid.
    """
    from perception.models.weights import model_to_bytes, versions

    meta = meta or Checkpoint(config=model.config)
    plain = _to_plain(meta, model.config, model.normaliser.get(), {**versions(), **meta.versions})
    try:
        texts = {"format": FORMAT} | {key: json.dumps(v, allow_nan=False) for key, v in plain.items()}
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: the metadata are not plain JSON: {error}") from None
    data = model_to_bytes(model, texts, str(path))
    saved = _parse(data, str(path))
    write_whole(path, data)
    return saved


def _to_plain(
    meta: Checkpoint, config: ModelConfig, stats: InputStats, versions: Mapping[str, str]
) -> dict[str, Any]:
    model = config.to_dict()
    return {
        "classes": model.pop("classes"),
        "control": model.pop("control"),
        "status": model.pop("status"),
        "input_size": {"height": model.pop("input_height"), "width": model.pop("input_width")},
        "loss_family": model.pop("loss_family"),
        "model": model,
        "input_stats": stats.to_dict(),
        "preprocess": dict(meta.preprocess),
        "calibration": dict(meta.calibration),
        "trained_on": [dict(source) for source in meta.trained_on],
        "versions": dict(versions),
    }


def _open(path: Path) -> tuple[Checkpoint, bytes]:
    data = read_whole(weights_in(path))
    return _parse(data, str(path)), data


def _parse(data: bytes, path: str) -> Checkpoint:
    """Return the metadata in a checkpoint's bytes, checked as far as possible without the model."""
    header = read_header(data, path)
    texts = header.get("__metadata__")
    format_name = texts.get("format") if isinstance(texts, dict) else None
    if not isinstance(texts, dict) or not str(format_name).startswith("perception.checkpoint/"):
        raise CheckpointError(
            f"{path}: expected the metadata of a {FORMAT}, found other safetensors; "
            "only checkpoints of this project load"
        )
    if format_name != FORMAT:
        raise CheckpointError(
            f"{path}: expected format {FORMAT}, found {format_name!r:.60}; another version reads it"
        )
    plain = {key: parse_json(text, f"{path}: {key:.60}") for key, text in texts.items() if key != "format"}
    missing, unknown = sorted(set(KEYS) - set(texts)), sorted(set(texts) - set(KEYS))
    if missing:
        raise CheckpointError(f"{path}: {', '.join(missing)} missing in the metadata; save it again")
    if unknown:
        raise CheckpointError(f"{path}: {', '.join(unknown):.200} unknown in the metadata; save it again")
    return _from_plain(plain, hashlib.sha256(data).hexdigest(), path)


def _from_plain(plain: dict[str, Any], sha256: str, path: str) -> Checkpoint:
    kinds = {
        "model": dict,
        "input_size": dict,
        "preprocess": dict,
        "calibration": dict,
        "versions": dict,
        "trained_on": list,
    }
    for key, kind in kinds.items():
        if not isinstance(plain[key], kind):
            raise CheckpointError(f"{path}: {key}: expected a {kind.__name__}, found {plain[key]!r:.60}")
    size, split = plain["input_size"], ("classes", "control", "status", "loss_family")
    if set(size) != {"height", "width"} or any(not isinstance(s, dict) for s in plain["trained_on"]):
        raise CheckpointError(
            f"{path}: expected input_size {{height, width}} and trained_on a list of objects; save it again"
        )
    whole = {key: plain[key] for key in split} | {
        "input_height": size["height"],
        "input_width": size["width"],
    }
    try:
        if overlap := sorted(set(whole) & set(plain["model"])):
            raise ConfigError([f"{key}: given twice" for key in overlap], "of the model")
        config = ModelConfig.from_dict(plain["model"] | whole)
        stats = InputStats.from_dict(plain["input_stats"])
    except ConfigError as error:
        raise CheckpointError(
            f"{path}: {error.source or 'metadata'}: {'; '.join(error.errors)}"[:1000]
        ) from None
    for group, names in channel_names(config).items():
        if set(getattr(stats, group)) != set(names):
            raise CheckpointError(f"{path}: input_stats.{group}: expected {', '.join(names)}; save it again")
    return Checkpoint(
        config=config,
        input_stats=stats,
        preprocess=plain["preprocess"],
        calibration=plain["calibration"],
        trained_on=tuple(plain["trained_on"]),
        versions={str(key): str(value) for key, value in plain["versions"].items()},
        sha256=sha256,
    )
