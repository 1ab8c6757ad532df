"""What backends share that run an exported graph: made once, kept on disk, then run without torch.

A graph holds one sample, and those of a batch are computed one after the other, as `torch_backend` does on
the CPU and for the same reasons: a larger graph gains next to nothing on the processors it was measured on,
and one by one answers are the same bits whatever the batch, the place in it and the neighbours.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from perception.engines.arrays import count_of, joined, only, parts_of, zero_inputs
from perception.engines.cache import ensure, export_folder
from perception.engines.processor import processor, usable_cores
from perception.errors import ConfigError
from perception.models.checkpoint import Checkpoint, read_metadata
from perception.models.tensors import Inputs, Predictions

if TYPE_CHECKING:
    from perception.models.fusion_model import FusionModel


MOST_AT_ONCE = 8
"""Samples computed side by side: as many as there are workers by default. Each has memory of its own."""


class ExportedBackend(ABC):
    """See `perception.engines.Backend` for the contract and `open_backend` for the arguments.

    A subclass says what it is called and needs, makes the file, loads it, and answers for one sample.
    """

    name: ClassVar[str]
    package: ClassVar[str]  # that runs the file
    makers: ClassVar[tuple[str, ...]]  # packages besides torch whose versions the file depends on
    extra: ClassVar[str] = ""  # of this project, that installs them
    precisions: ClassVar[tuple[str, ...]]

    def __init__(
        self,
        source: Path | FusionModel,
        *,
        device: str = "cpu",
        precision: str = "fp32",
        batch: int = 1,
        threads: int | None = None,
    ) -> None:
        if device != "cpu":
            raise ConfigError([f"engine.backend: {self.name} computes on the cpu, found the device {device}"])
        if precision not in self.precisions:
            known = " or ".join(self.precisions)
            raise ConfigError(
                [f"engine.precision: backend {self.name} computes in {known}, found {precision}"]
            )
        self.source, self.precision = source, precision
        self.batch, self.threads = batch, threads
        self.sha256 = ""
        self._like: Inputs | None = None

    def open(self) -> None:
        self.close()
        meta, digest = self._identify()
        folder, key = self._folder(digest, self.precision, self.threads)
        ensure(folder, key, self._write)
        self.sha256 = meta.sha256
        self._load(folder)
        self._like = zero_inputs(meta.config, 1)
        self.run(self._like)

    def run(self, inputs: Inputs) -> Predictions:
        if self._like is None:
            raise ValueError("the backend is not open")
        count_of(inputs, self._like, self.batch)
        return joined([self._answer(part) for part in parts_of(inputs, 1)])

    def run_subsets(self, inputs: Inputs, subsets: NDArray[np.bool_]) -> list[Predictions]:
        return [self.run(only(inputs, subset)) for subset in subsets]

    def close(self) -> None:
        self._like = None
        self._unload()

    def describe(self) -> Mapping[str, str]:
        return {
            "backend": self.name,
            "precision": self.precision,
            "device": "cpu",
            "processor": processor().name,
            "batch": str(self.batch),
            "threads": str(self.threads or "default"),
            self.package: version(self.package),
            "weights_sha256": self.sha256,
        }

    def device_s(self) -> float:
        return 0.0

    @classmethod
    def is_ready(cls, source: Path | FusionModel, precision: str, threads: int | None) -> bool:
        """Whether the file was made before, so that opening takes no export."""
        if not isinstance(source, Path):
            return False
        return cls._folder(read_metadata(source).sha256, precision, threads)[0].is_dir()

    @classmethod
    def _made_for(cls, threads: int | None) -> dict[str, str]:
        """What else the file depends on."""
        return {}

    @classmethod
    def _folder(
        cls, weights_sha256: str, precision: str, threads: int | None
    ) -> tuple[Path, Mapping[str, str]]:
        return export_folder(cls.name, weights_sha256, precision, 1, cls.makers, **cls._made_for(threads))

    @property
    def _at_once(self) -> int:
        """How many samples are computed side by side: the cores over the threads for one."""
        cores = usable_cores()
        return max(1, min(cores // (self.threads or cores), MOST_AT_ONCE))

    def _identify(self) -> tuple[Checkpoint, str]:
        """What the source says of itself, and a digest of its weights."""
        if isinstance(self.source, Path):
            meta = read_metadata(self.source)
            return meta, meta.sha256
        from perception.models.weights import model_to_bytes

        shape = repr(self.source.config).encode()
        data = model_to_bytes(self.source, {}, "the model")
        return Checkpoint(self.source.config), hashlib.sha256(shape + data).hexdigest()

    def _model(self) -> FusionModel:
        """The model to export. Torch is imported here at the latest."""
        if not isinstance(self.source, Path):
            return self.source
        from perception.models.checkpoint import load_checkpoint

        return load_checkpoint(self.source)[0]

    @abstractmethod
    def _write(self, folder: Path) -> None:
        """Make the file."""

    @abstractmethod
    def _load(self, folder: Path) -> None:
        """Make ready what the file holds."""

    @abstractmethod
    def _unload(self) -> None:
        """Give it back."""

    @abstractmethod
    def _answer(self, sample: Inputs) -> Predictions:
        """For one sample; arrays that nobody else will write to."""


def in_order(outputs: Sequence[Any]) -> Predictions:
    """The outputs of a graph as our own arrays, whatever integers the graph counts labels in."""
    found = Predictions(*(np.array(output) for output in outputs))
    return found._replace(labels=found.labels.astype(np.int64, copy=False))
