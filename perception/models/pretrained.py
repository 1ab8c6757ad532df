"""The fusion model for programs: loaded by name, saved in the layout of the Hub."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from perception.errors import CheckpointError, NoPluginError
from perception.files import write_problem
from perception.models.checkpoint import WEIGHTS, Checkpoint, load_checkpoint, save_checkpoint, weights_in
from perception.models.fusion_model import FusionModel
from perception.plugin import own_weights

CONFIG, CARD = "config.json", "README.md"


def from_pretrained(source: str | Path | None = None) -> FusionModel:
    """Load a model: see `FusionModel.from_pretrained`."""
    model, about = load_checkpoint(weights_file(source))
    model.about = about
    return model


def save_pretrained(model: FusionModel, folder: str | Path, about: Checkpoint | None = None) -> Checkpoint:
    """Write a model in the layout of the Hub: see `FusionModel.save_pretrained`."""
    folder = Path(folder)
    about = about or about_of(model)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        saved = save_checkpoint(folder / WEIGHTS, model, replace(about, config=model.config))
        config = {
            "model_type": "perception-fusion",
            "architectures": ["FusionModel"],
            **model.config.to_dict(),
            "preprocess": dict(saved.preprocess),
            "versions": dict(saved.versions),
        }
        (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        (folder / CARD).write_text(_card(saved), encoding="utf-8")
    except OSError as error:
        raise CheckpointError(f"{folder} cannot be written: {write_problem(folder, error)}") from None
    return saved


def weights_file(source: str | Path | None) -> Path:
    """Return the file of weights that a path, a folder or the name of an installed plugin stands for.

    A folder without weights that is called as a plugin is (pictures in `street`) is not in the way of it.

    Raises:
        CheckpointError: There is none.
        PluginError: No plugin of that name is installed.
    """
    path = None if source is None else weights_in(Path(source))
    if path is not None and path.is_file():
        return path
    if source is not None and not (isinstance(source, str) and source.isidentifier()):
        raise CheckpointError(_expected(source))
    name = str(source or "fusion")
    try:
        weights = own_weights(name)
    except NoPluginError:
        if Path(name).exists():
            raise CheckpointError(_expected(name)) from None
        raise
    if weights is None:
        raise CheckpointError(f"the plugin {name} has no weights of its own; name a file")
    return weights


def _expected(source: str | Path) -> str:
    return f"{source}: expected a checkpoint, a folder with {WEIGHTS}, or the name of an installed plugin"


def about_of(model: FusionModel) -> Checkpoint:
    """Return the metadata that a model was loaded with, else those of an untrained one."""
    about = model.about
    return about if isinstance(about, Checkpoint) else Checkpoint(config=model.config)


def _card(about: Checkpoint) -> str:
    config = about.config
    trained_on = [f"- {source.get('log', source)}" for source in about.trained_on] or ["- nothing: untrained"]
    heads = ["class", "box", "control", *config.extra_heads]
    lines = [
        "---",
        "library_name: perception-fusion",
        "pipeline_tag: object-detection",
        f"tags: [sensor-fusion, camera, range, {', '.join(heads)}]",
        "---",
        "",
        "# Fusion of camera, range and status",
        "",
        f"Classes: {', '.join(config.classes)}. "
        f"Control: {', '.join(f'{q.name} ({q.unit})' for q in config.control)}.",
        f"Image: {config.input_width} x {config.input_height}. "
        f"Status: {', '.join(f'{q.name} ({q.unit})' for q in config.status)}, {config.steps} steps.",
        f"Confidence: {about.calibration.get('method', 'not calibrated')}.",
        "",
        "```python",
        "from perception.models import FusionModel",
        "",
        "model = FusionModel.from_pretrained(path)",
        "output = model.predict(image=rgb, points=xyz, status={...})",
        "```",
        "",
        "Trained on:",
        "",
        *trained_on,
        "",
    ]
    return "\n".join(lines)
