"""The fusion model on any backend: `Inputs` to `Predictions`, and answers on subsets of the sensors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from perception.engines.arrays import Arrays
from perception.models.tensors import Inputs, Predictions, predictions_type

if TYPE_CHECKING:
    from perception.engines.backend import Backend


@runtime_checkable
class ComputesRows(Protocol):
    """A backend that lets a caller use its module (see `TorchBackend.rows`)."""

    def rows(self, inputs: Arrays, compute: Callable[[Any, tuple[Any, ...]], Any]) -> Iterable[Any]: ...


class FusionBackend:
    """A backend that runs the fusion model. Its contract is that of `perception.engines.Backend`."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def open(self) -> None:
        """Open the backend again."""
        self._backend.open()

    def run(self, inputs: Inputs) -> Predictions:
        """Return the predictions for a batch, as arrays that the caller owns.

        Raises:
            ValueError: The arrays do not have the model's shapes, or the backend is not open.
        """
        return _predictions(self._backend.run(inputs))

    def run_subsets(self, inputs: Inputs, subsets: NDArray[np.bool_]) -> list[Predictions]:
        """Return the predictions on each subset of the sensors: those of `run` with the others absent.

        In torch on the CPU, what is the same for all subsets, such as the features of the camera, is computed
        once.

        Args:
            subsets: bool [N, 3], in the order of the sensors.

        Raises:
            ValueError: As from `run`.
        """
        if not isinstance(self._backend, ComputesRows):
            return [self.run(only(inputs, subset)) for subset in subsets]
        import torch

        masks = torch.from_numpy(np.ascontiguousarray(subsets))

        def compute(module: Any, tensors: tuple[Any, ...]) -> list[Predictions]:
            found = module.model.on_subsets(Inputs(*tensors), masks)
            return [type(predictions)(*(t.numpy() for t in predictions)) for predictions in found]

        rows = self._backend.rows(inputs._asdict(), compute)
        return [
            type(answers[0])(*map(np.concatenate, zip(*answers, strict=True)))
            for answers in zip(*rows, strict=True)
        ]

    def close(self) -> None:
        """Release everything."""
        self._backend.close()

    def describe(self) -> Mapping[str, str]:
        """Return what computes: see `Backend.describe`."""
        return self._backend.describe()

    def device_s(self) -> float:
        """Return the seconds that a GPU has computed: see `Backend.device_s`."""
        return self._backend.device_s()


def only(inputs: Inputs, subset: NDArray[np.bool_]) -> Inputs:
    """Return the batch with the sensors outside the subset absent."""
    return inputs._replace(present=np.where(subset, inputs.present, np.float32(0)))


def _predictions(outputs: Mapping[str, NDArray[Any]]) -> Predictions:
    """Return the outputs by name, whatever integers a graph counts labels in."""
    labels = outputs["labels"].astype(np.int64, copy=False)
    further = [name for name in outputs if name not in Predictions._fields]  # each head, then its std
    return predictions_type(tuple(further[::2]))(**{**outputs, "labels": labels})
