"""Stored features: training the control head alone, from what it reads of each sample, computed once.

A sample has one control target, where boxes have thousands of cells, so the last layers of the control head
need hundreds of times more steps than the rest of the model, and a step that computes the whole model costs
hundreds of times more than they do. Where everything below them is frozen, their features change with the
augmentation alone: they are stored in a few versions, each augmented differently, and a step then takes
milliseconds (feature extraction, as in Donahue et al. 2014, "DeCAF").
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.numpy
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError

from perception.caches import sources_sha256
from perception.errors import CheckpointError, ConfigError, TrainingError
from perception.models import FusionModel
from perception.models.safetensors_file import write_whole
from perception.models.tensors import Inputs
from perception.training.balancing import make_balancer
from perception.training.data.dataset import Dataset, batch_indices
from perception.training.data.loader import Loader
from perception.training.data.training_sample import FeatureBatch, collate
from perception.training.loop.observer import Watcher
from perception.training.loop.optimiser import belongs_to
from perception.training.loop.process_group import ProcessGroup
from perception.training.train_config import TrainConfig
from perception.training.transfer import freeze
from perception.types import Float32

TRAINED = ("control_head.hidden", "control_head.deeper", "control_head.predict")
"""The layers that are trained from stored features; everything below them must be frozen."""

CHUNK = 16
"""Samples whose features are computed together."""

SOURCES = ("models/**/*.py", *(f"training/data/{name}.py" for name in ("augmentation", "stored_features")))
"""The code of this package that features depend on."""


@dataclass(frozen=True, slots=True)
class FeatureLoader:
    """Batches of stored features, for `Trainer`. An epoch is every version of every sample, once.

    Attributes:
        dataset: The samples.
        features: [versions * samples, F].
        control: [versions * samples, A] physical units, NaN where unknown.
        batch, shard, seed: As in `Loader`.
    """

    dataset: Dataset
    features: Float32
    control: Float32
    batch: int
    shard: slice
    seed: int

    @contextmanager
    def running(self, start: int) -> Iterator[Iterator[FeatureBatch]]:
        """Yield batches from step `start` on, without end."""
        steps = batch_indices(len(self.features), self.batch, self.seed, start)
        yield (self._batch(indices[self.shard]) for indices in steps)

    def _batch(self, indices: NDArray[np.intp]) -> FeatureBatch:
        ids = tuple(self.dataset.ids[i % len(self.dataset)] for i in indices)
        return FeatureBatch(self.features[indices], self.control[indices], ids)


def check_stored_features(config: TrainConfig) -> None:
    """Check that a run trains nothing but `TRAINED`, before hours are spent on decoding.

    Raises:
        ConfigError: It trains something else; all reasons.
    """
    model = FusionModel(config.model_shape())
    freeze(model, config.transfer.freeze)
    free = dict.fromkeys(
        _part(name) for name, p in model.named_parameters() if p.requires_grad and not _is_trained(name)
    )
    errors = []
    if free:
        errors.append(
            "transfer.store: expected transfer.freeze to name all but "
            f"{', '.join(TRAINED)}; found free to learn: {', '.join(free)}"
        )
    if make_balancer(config.balancing).cuts:
        errors.append("transfer.store: one head alone is not balanced; leave out balancing.method")
    if config.transfer.distill is not None:
        errors.append("transfer.store: nothing is left to distil into; leave out transfer.distill")
    if errors:
        raise ConfigError(errors)


def open_stored_features(
    config: TrainConfig,
    model: FusionModel,
    loader: Loader,
    root: Path,
    watcher: Watcher,
    processes: ProcessGroup,
    stop: Callable[[], bool],
    autocast: bool,
) -> FeatureLoader:
    """Return the features of all versions of all samples; the first process computes those that are missing.

    Args:
        config: `transfer.store` is the number of versions.
        model: On its device, frozen as `check_stored_features` demands.
        loader: Loads the samples, and augments each version differently.
        root: The folder of the files of features, one for each version.
        watcher: Hears about progress.
        processes: The processes that train together.
        stop: Asked after each chunk; finished versions are kept.
        autocast: As in training.

    Raises:
        TrainingError: The files cannot be written.
        KeyboardInterrupt: `stop` returned True.
    """
    versions, dataset = config.transfer.store, loader.dataset
    key = _key(config, model, dataset, autocast)
    if not processes.first:
        processes.wait()
    parts = []
    for version in range(versions):
        path = root / f"features-{key}-{version}.safetensors"
        arrays = _load(path, len(dataset))
        if arrays is None:

            def progress(done: int, version: int = version) -> None:
                if stop():
                    raise KeyboardInterrupt
                watcher.cached(f"features, version {version + 1} of {versions}", done, len(dataset))

            arrays = _compute(model, loader, version, progress, autocast)
            _save(path, *arrays)
        parts.append(arrays)
    if processes.first:
        processes.wait()
    features, control = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return FeatureLoader(dataset, features, control, loader.batch, loader.shard, loader.seed)


def _compute(
    model: FusionModel, loader: Loader, version: int, progress: Callable[[int], None], autocast: bool
) -> tuple[Float32, Float32]:
    """Return features [samples, F] and control [samples, A] of one version."""
    device = next(model.parameters()).device
    model.eval()
    features, control = [], []
    for start in range(0, len(loader.dataset), CHUNK):
        indices = range(start, min(start + CHUNK, len(loader.dataset)))
        # The version and the sample take the place of step and position as seeds of the augmentation.
        batch = collate([loader.augmented(index, version, index) for index in indices])
        inputs = Inputs(*(torch.from_numpy(array).to(device) for array in batch.inputs))
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=autocast):
            features.append(model.control_reading(inputs).float().cpu().numpy())
        control.append(batch.truth.control)
        progress(indices.stop)
    return np.concatenate(features), np.concatenate(control)


def _key(config: TrainConfig, model: FusionModel, dataset: Dataset, autocast: bool) -> str:
    """Return the digest of all that features depend on: not the layers that are trained from them."""
    shape = {key: value for key, value in model.config.to_dict().items() if key != "control_widths"}
    parts = {
        "code": sources_sha256(Path(__file__).resolve().parents[2], SOURCES),
        "torch": torch.__version__,
        "logs": [(log.folder.name, log.about["samples"]) for log in dataset.logs],
        "ids": hashlib.sha256(np.array(dataset.ids).tobytes()).hexdigest(),
        "augment": config.augment.model_dump(mode="json"),
        "seed": config.run.seed,
        "model": shape,
        "autocast": autocast,
        "device": next(model.parameters()).device.type,
    }
    digest = hashlib.sha256(json.dumps(parts).encode())
    for name, tensor in model.state_dict().items():
        if not _is_trained(name):
            digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:32]


def _load(path: Path, samples: int) -> tuple[Float32, Float32] | None:
    """Return the arrays of a file; None where it is missing, damaged or incomplete."""
    if not path.is_file():
        return None
    try:
        arrays = safetensors.numpy.load_file(path)
        features, control = arrays["features"], arrays["control"]
    except (OSError, SafetensorError, KeyError, ValueError):
        return None
    return (features, control) if len(features) == len(control) == samples else None


def _save(path: Path, features: Float32, control: Float32) -> None:
    arrays = {"features": np.ascontiguousarray(features), "control": np.ascontiguousarray(control)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, safetensors.numpy.save(arrays))
    except (CheckpointError, OSError) as error:
        size = (features.nbytes + control.nbytes) >> 20
        raise TrainingError(
            f"stored features cannot be written: {error}; a version needs about {size} MiB, set data.cache "
            "to a roomier place"
        ) from None


def _is_trained(name: str) -> bool:
    return any(belongs_to(name, part) for part in TRAINED)


def _part(name: str) -> str:
    """Return the part that `transfer.freeze` would name to freeze a parameter."""
    head, _, rest = name.partition(".")
    return f"{head}.{rest.split('.')[0]}" if head == "control_head" else head
