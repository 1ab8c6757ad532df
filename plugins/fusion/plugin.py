"""The plugin: samples are prepared with numpy, a backend computes, predictions become outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from perception.engines import FusionBackend, open_fusion_backend
from perception.errors import PluginError
from perception.models.checkpoint import Checkpoint, read_metadata
from perception.models.placed_returns import PlacedReturns, placed_returns
from perception.models.prediction_outputs import output_of, row_of
from perception.models.preprocess import InputSpec, prepare_inputs
from perception.models.tensors import Inputs, Predictions
from perception.plugin import Context, Manifest, Plugin, Prepared, own_weights
from perception.types import SENSORS, Output, Reset, Sample
from perception_plugins.fusion.input_warnings import Usual, setup_warnings
from perception_plugins.fusion.options import Options

if TYPE_CHECKING:
    from perception.evaluation.agreement.backend_check import BackendAgreement
    from perception.models.fusion_model import FusionModel


class Payload(NamedTuple):
    """The result of `prepare`, for `infer` and `step`."""

    inputs: Inputs
    warnings: dict[str, str]
    returns: PlacedReturns | None


class Answered(NamedTuple):
    """The result of `infer` for `step`: the predictions for one sample."""

    found: Predictions
    warnings: dict[str, str]
    returns: PlacedReturns | None


@dataclass(frozen=True, slots=True)
class _Run:
    """The state between `open` and `close`."""

    backend: FusionBackend
    source: Path | FusionModel
    meta: Checkpoint
    weights: str
    spec: InputSpec
    options: Options
    batch: int
    base_frame: str | None
    warnings: dict[str, str]
    usual: Usual | None


class FusionPlugin(Plugin):
    """Classes, boxes with distance, and control from any subset of camera, range and status.

    Weights are the checkpoint of the configuration, else the package's own, else an untrained model of the
    default shape drawn from the seed: then every output warns `untrained`. No sample is remembered.
    Heads of the weights beside class, box and control are added to the manifest when the plugin is opened.
    """

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = self._named = manifest
        self._run: _Run | None = None

    def open(self, context: Context) -> None:
        """Load the weights and compute once.

        Raises:
            CheckpointError: The weights cannot be loaded or do not fit.
            PluginError: An option is wrong.
        """
        self.close()
        options = Options.of({**self._named.options, **context.options})
        path = context.checkpoint or own_weights(self._named.name)
        source: Path | FusionModel
        if path is None:
            source, meta = _untrained(context.seed)
        else:
            source, meta = path, read_metadata(path)
        spec = meta.input_spec(context.max_range_m, path)
        backend = open_fusion_backend(
            context.backend,
            source,
            device=context.device,
            precision=context.precision,
            batch=context.batch,
            threads=context.threads,
        )
        self.manifest = replace(self._named, heads=(*self._named.heads, *meta.config.extra_heads))
        rate_hz = meta.preprocess.get("status_rate_hz")
        self._run = _Run(
            backend,
            source,
            meta,
            "untrained" if path is None else path.name if context.checkpoint else path.stem,
            spec,
            options,
            context.batch,
            context.base_frame,
            setup_warnings(context, meta.config, rate_hz, meta.trained),
            Usual(meta.input_stats, meta.config) if meta.input_stats is not None and meta.trained else None,
        )

    def prepare(self, sample: Sample) -> Prepared:
        """Decode pixels and make arrays; unusable inputs become absent."""
        sample, inputs = prepare_inputs(sample, self._opened().spec)
        return self._prepared(sample, inputs)

    def adopt(self, prepared: Prepared, other: Plugin) -> Prepared | None:
        """Return the arrays that another fusion plugin prepared, if both use the same (`AdoptsPrepared`)."""
        if not isinstance(other, FusionPlugin) or other._opened().spec != self._opened().spec:
            return None
        return self._prepared(prepared.sample, prepared.payload.inputs)

    def _prepared(self, sample: Sample, inputs: Inputs) -> Prepared:
        run = self._opened()
        warnings = {} if run.usual is None else run.usual.warnings(inputs)
        returns = placed_returns(sample, np.inf) if run.options.distance == "returns" else None
        return Prepared(sample, Payload(inputs, warnings, returns))

    def infer(self, prepared: Sequence[Prepared]) -> list[Prepared]:
        """Return the predictions for at most one batch of samples. Several threads may call it at once."""
        if not prepared:
            return []
        predictions = self._opened().backend.run(self._batch(prepared))
        return [
            replace(item, payload=Answered(row_of(predictions, index), *item.payload[1:]))
            for index, item in enumerate(prepared)
        ]

    def step(self, prepared: Sequence[Prepared]) -> list[Output]:
        """Return the outputs of at most one batch of samples, in order; run `infer` where it was not."""
        missing = [item for item in prepared if not isinstance(item.payload, Answered)]
        answered = iter(self.infer(missing))
        items = (item if isinstance(item.payload, Answered) else next(answered) for item in prepared)
        return [self._output(item, item.payload.found) for item in items]

    def step_subsets(
        self, prepared: Sequence[Prepared], subsets: Sequence[tuple[str, ...]]
    ) -> list[list[Output]]:
        """Return for each sample one output per subset of the sensors; the branches are computed once."""
        run = self._opened()
        if not prepared:
            return []
        masks = np.array([[name in subset for name in SENSORS] for subset in subsets])
        by_subset = run.backend.run_subsets(self._batch(prepared), masks)
        return [
            [
                self._output(_only(item, subset), row_of(predictions, index))
                for subset, predictions in zip(subsets, by_subset, strict=True)
            ]
            for index, item in enumerate(prepared)
        ]

    def check(self, prepared: Sequence[Prepared]) -> BackendAgreement:
        """Compare the answers on these samples with those of float32 in eager torch, on the CPU.

        Raises:
            PluginError: The plugin is not open.
        """
        from perception.evaluation.agreement.backend_check import compare_backends

        run = self._opened()
        exact = open_fusion_backend("torch", run.source, precision="fp32", threads=1)
        batches = [self._batch([item]) for item in prepared]
        try:
            references = [Predictions(*map(np.copy, exact.run(batch))) for batch in batches]
        finally:
            exact.close()
        answers = [Predictions(*map(np.copy, run.backend.run(batch))) for batch in batches]
        return compare_backends(references, answers)

    def _batch(self, prepared: Sequence[Prepared]) -> Inputs:
        """Return the inputs of the samples as one batch."""
        limit = self._opened().batch
        if len(prepared) > limit:
            raise PluginError(
                f"expected at most {limit} samples, as the plugin was opened; found {len(prepared)}"
            )
        if len(prepared) == 1:  # copies nothing
            return Inputs(*(np.expand_dims(array, 0) for array in prepared[0].payload.inputs))
        return Inputs(
            *(np.stack(arrays) for arrays in zip(*(p.payload.inputs for p in prepared), strict=True))
        )

    def _output(self, item: Prepared, found: Predictions) -> Output:
        """Return the output of one sample."""
        run = self._opened()
        warnings = {**run.warnings, **item.payload.warnings}
        return output_of(
            item.sample,
            found,
            run.meta.config,
            run.spec,
            run.options.min_score,
            warnings,
            run.base_frame,
            item.payload.returns if item.sample.range.present else None,
        )

    def reset(self, reason: Reset) -> None:
        """Do nothing: the plugin has no state; windows of the past come with the sample."""

    def close(self) -> None:
        """Release the backend. May be called twice, and without `open`."""
        if self._run is not None:
            self._run.backend.close()
            self._run = None

    def describe(self) -> Mapping[str, str]:
        """Return a description of the backend and the weights; empty before `open`.

        `weights` is `untrained`, `default` or the file's name; `weights_sha256` is empty if untrained.
        """
        if self._run is None:
            return {}
        run = self._run
        return {
            **run.backend.describe(),
            "weights": run.weights,
            "weights_sha256": run.meta.sha256,
            "untrained": "false" if run.meta.trained else "true",
            "classes": "\n".join(run.meta.config.classes),
            "loss_family": run.meta.config.loss_family,
        }

    def device_s(self) -> float:
        """Return the seconds that the GPU has computed since `open` (`TimesItsDevice`); 0 before."""
        return 0.0 if self._run is None else self._run.backend.device_s()

    def output_stats(self) -> Mapping[str, Any] | None:
        """Return the output statistics of the checkpoint; None before `open`, or if it has none."""
        stats = None if self._run is None else self._run.meta.calibration.get("output_stats")
        return stats if isinstance(stats, Mapping) else None

    def input_profile(self) -> tuple[InputSpec, Mapping[str, Any]] | None:
        """Return how inputs are prepared, and the checkpoint's profile of them; None where it has none."""
        profile = None if self._run is None else self._run.meta.calibration.get("input_profile")
        return (self._run.spec, profile) if self._run is not None and isinstance(profile, Mapping) else None

    def _opened(self) -> _Run:
        if self._run is None:
            raise PluginError("the fusion plugin is not open; call open(context) first")
        return self._run


def _only(item: Prepared, subset: Sequence[str]) -> Prepared:
    """Return the same sample with every sensor outside the subset absent."""
    gone = [i.kind for i in item.sample.inputs if i.present and i.kind not in subset]
    return replace(item, sample=item.sample.with_absent(dict.fromkeys(gone, "left out of this subset")))


def _untrained(seed: int) -> tuple[FusionModel, Checkpoint]:
    from perception.models.fusion_model import FusionModel

    meta = Checkpoint()
    return FusionModel(meta.config, seed=seed), meta
