"""Learning the control head alone, from what it reads of each sample, computed once and kept.

Control is told from few numbers of a sample, and there are few samples of it: one for each frame, where boxes
have thousands of cells. So the layers that decide need hundreds of times more steps than the rest of the
model, and a step that computes all of it costs hundreds of times more than they do. Where everything else is
frozen, what they read of a sample changes with the augmentation alone: it is stored in a few versions, each
augmented in its own way, and a step then takes milliseconds (feature extraction, as in Donahue et al. 2014,
"DeCAF").
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

from perception.errors import CheckpointError, ConfigError, TrainingError
from perception.models import FusionModel
from perception.models.container import write_whole
from perception.models.tensors import Inputs
from perception.training.balancing import make_balancer
from perception.training.data.cache_key import code_digest
from perception.training.data.dataset import Dataset, batches
from perception.training.data.loader import Loader
from perception.training.data.training_sample import FeatureBatch, collate
from perception.training.loop.optimiser import begins
from perception.training.loop.process_group import ProcessGroup
from perception.training.loop.watcher import Watcher
from perception.training.train_config import TrainConfig
from perception.training.transfer import freeze
from perception.types import Float32

LEARNING = ("control_head.hidden", "control_head.deeper", "control_head.predict")
"""What learns from readings; everything below is to be frozen."""

AT_ONCE = 16
"""Samples that are read together."""

_CODE = ("models", "training/data/augmentation.py", "training/data/stored_features.py")


@dataclass(frozen=True, slots=True)
class FeatureLoader:
    """Batches of readings, for `Trainer`. Each epoch is every version of every sample, once.

    Attributes:
        dataset: What was read.
        readings: [versions * samples, F].
        control: [versions * samples, A] what is true of them, NaN where unknown.
        batch, part, seed: As of `Loader`.
    """

    dataset: Dataset
    readings: Float32
    control: Float32
    batch: int
    part: slice
    seed: int

    @contextmanager
    def running(self, start: int) -> Iterator[Iterator[FeatureBatch]]:
        """Batches from step `start` on, without end."""
        order = batches(len(self.readings), self.batch, self.seed, start)
        yield (self._batch(indices[self.part]) for _, indices in order)

    def _batch(self, indices: NDArray[np.intp]) -> FeatureBatch:
        places = tuple(self.dataset.places[i % len(self.dataset)] for i in indices)
        return FeatureBatch(self.readings[indices], self.control[indices], places)


def check_store(config: TrainConfig) -> None:
    """See whether readings are all that a run would learn from, before hours are spent on decoding.

    Raises:
        ConfigError: They are not; all that stands against it.
    """
    model = FusionModel(config.model_shape())
    freeze(model, config.transfer.freeze)
    free = dict.fromkeys(
        _part(name) for name, p in model.named_parameters() if p.requires_grad and not _learns(name)
    )
    faults = []
    if free:
        faults.append(
            "transfer.store: expected transfer.freeze to name all but "
            f"{', '.join(LEARNING)}; found free to learn: {', '.join(free)}"
        )
    if make_balancer(config.balancing).cuts:
        faults.append("transfer.store: one head alone is not balanced; leave out balancing.method")
    if config.transfer.distill is not None:
        faults.append("transfer.store: nothing is left to distil into; leave out transfer.distill")
    if faults:
        raise ConfigError(faults)


def stored(
    config: TrainConfig,
    model: FusionModel,
    loader: Loader,
    root: Path,
    watcher: Watcher,
    processes: ProcessGroup,
    stop: Callable[[], bool],
    autocast: bool,
) -> FeatureLoader:
    """All versions of all samples, read: as they lie in a folder, or made now, by the first process.

    Args:
        config: `transfer.store` is the number of versions.
        model: On its device, frozen as `check_store` asks.
        loader: Of the samples as they are; its augmenter changes each version in its own way.
        root: Where readings are kept, one file for each version.
        watcher: Sees it.
        processes: That train together.
        stop: Asked now and then; versions that are finished are kept.
        autocast: As in training.

    Raises:
        TrainingError: They cannot be written.
        KeyboardInterrupt: `stop` said so.
    """
    versions, dataset = config.transfer.store, loader.dataset
    told = hashlib.sha256(json.dumps(_made_from(config, model, dataset, autocast)).encode())
    _digest_weights(model, told)
    if not processes.first:
        processes.wait()
    found = []
    for version in range(versions):
        path = root / f"readings-{told.hexdigest()[:32]}-{version}.safetensors"
        there = _kept(path, len(dataset))
        if there is None:

            def tell(done: int, version: int = version) -> None:
                if stop():
                    raise KeyboardInterrupt
                watcher.cached(f"reading, version {version + 1} of {versions}", done, len(dataset))

            there = _read(model, loader, version, tell, autocast)
            _keep(path, there)
        found.append(there)
    if processes.first:
        processes.wait()
    readings, control = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
    return FeatureLoader(dataset, readings, control, loader.batch, loader.part, loader.seed)


def _read(
    model: FusionModel, loader: Loader, version: int, tell: Callable[[int], None], autocast: bool
) -> tuple[Float32, Float32]:
    """What the control head reads of each sample, and the control that is true of it."""
    device = next(model.parameters()).device
    model.eval()
    readings, control = [], []
    for start in range(0, len(loader.dataset), AT_ONCE):
        indices = range(start, min(start + AT_ONCE, len(loader.dataset)))
        # Chance depends on the version and the sample alone, as elsewhere on step and place.
        batch = collate([loader.changed(index, version, index) for index in indices])
        inputs = Inputs(*(torch.from_numpy(array).to(device) for array in batch.inputs))
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=autocast):
            readings.append(model.control_reading(inputs).float().cpu().numpy())
        control.append(batch.truth.control)
        tell(indices.stop)
    return np.concatenate(readings), np.concatenate(control)


def _made_from(
    config: TrainConfig, model: FusionModel, dataset: Dataset, autocast: bool
) -> dict[str, object]:
    """What readings depend on besides weights: not on the layers that are to learn from them."""
    shape = {key: value for key, value in model.config.to_dict().items() if key != "control_widths"}
    return {
        "code": code_digest(_CODE),
        "torch": torch.__version__,
        "samples": [(log.folder.name, log.about["samples"]) for log in dataset.logs],
        "places": hashlib.sha256(np.array(dataset.places).tobytes()).hexdigest(),
        "augment": config.augment.model_dump(mode="json"),
        "seed": config.run.seed,
        "model": shape,
        "autocast": autocast,
        "device": next(model.parameters()).device.type,
    }


def _digest_weights(model: FusionModel, into: hashlib._Hash) -> None:
    """Of all that readings depend on."""
    for name, tensor in model.state_dict().items():
        if not _learns(name):
            into.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())


def _kept(path: Path, samples: int) -> tuple[Float32, Float32] | None:
    """What lies there; None where nothing does, or nothing whole: it is then made again."""
    if not path.is_file():
        return None
    try:
        found = safetensors.numpy.load_file(path)
        readings, control = found["readings"], found["control"]
    except (OSError, SafetensorError, KeyError, ValueError):
        return None
    return (readings, control) if len(readings) == len(control) == samples else None


def _keep(path: Path, made: tuple[Float32, Float32]) -> None:
    readings, control = map(np.ascontiguousarray, made)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, safetensors.numpy.save({"readings": readings, "control": control}))
    except (CheckpointError, OSError) as error:
        size = (readings.nbytes + control.nbytes) >> 20
        raise TrainingError(
            f"what the control head reads cannot be kept: {error}; a version needs about {size} MiB, set "
            "data.cache to a roomier place"
        ) from None


def _learns(name: str) -> bool:
    return any(begins(name, part) for part in LEARNING)


def _part(name: str) -> str:
    """The name of a parameter as `transfer.freeze` would give it."""
    head, _, rest = name.partition(".")
    return f"{head}.{rest.split('.')[0]}" if head == "control_head" else head
