"""The fusion model: any subset of camera, range and status, to classes, boxes with distance, and control.

Dimension letters: B batch, C classes, K detections, M returns, T status steps, S status channels,
A control channels, D fused channels, h x w cells of the output map (the finest).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from perception.models.adapters import Adapter
from perception.models.camera_encoder import Pyramid
from perception.models.config import ModelConfig
from perception.models.decode import Decoder
from perception.models.fusion import make_fusion
from perception.models.heads import BoxHead, ClassHead, ControlHead, DenseOutputs, TopDown
from perception.models.layers import conv_bn
from perception.models.normalise import Cleaned, Normaliser
from perception.models.range_encoder import IN_IMAGE
from perception.models.stats import InputStats, default_stats
from perception.models.tensors import Inputs, Predictions, predictions_type
from perception.types import KINDS, SENSORS, Output, StatusReading, head_spec, load_named

MAX_AGE_S = 2.0
USUAL_AGE_S = 0.05


Encoded = tuple[Pyramid, ...]
"""The features of each branch before fusion, in the order of `SENSORS`."""

_FOR_PROGRAMS = "perception.models.pretrained"  # loaded on use: they import this module
_FOR_ARRAYS = "perception.models.array_prediction"

STATUS = SENSORS.index("status")


class FusionModel(nn.Module):
    """Three encoders, one shared representation, three heads.

    Args:
        config: Sizes and kinds.
        seed: Of the initial weights; the global random state is left as it was.
        stats: Statistics of inputs and targets; by default an assumption (`default_stats`).
        pretrained: Start a torchvision backbone from its published weights (fetched by torchvision).
    """

    def __init__(
        self, config: ModelConfig, seed: int = 0, stats: InputStats | None = None, pretrained: bool = False
    ) -> None:
        super().__init__()
        self.config = config
        self.about: Any = None
        """The metadata of its checkpoint (`checkpoint.Checkpoint`), after `from_pretrained`."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # torch.manual_seed would also touch the accelerators'
            self._build(config, stats or default_stats(config), pretrained)

    def _build(self, config: ModelConfig, stats: InputStats, pretrained: bool) -> None:
        self.normaliser = Normaliser(config, stats)
        for kind in KINDS.values():
            self.add_module(kind.name, load_named(kind.encoder)(config, pretrained))
        branches = self.branches()
        widths = zip(*(branch.widths for branch in branches), strict=True)
        maps = zip(*(branch.maps for branch in branches), strict=True)
        self.fusion = nn.ModuleList(make_fusion(config, w, m) for w, m in zip(widths, maps, strict=True))
        self.top_down = TopDown(config)
        if config.shared_tower:
            self.tower = conv_bn(config.fused_width, config.tower_channels, 3)
        self.class_head = ClassHead(config)
        self.box_head = BoxHead(config)
        self.control_head = ControlHead(config)
        self.decoder = Decoder(config)
        for head in config.adapters:  # made last: the rest starts as it would without
            self.add_module(f"{head}_adapter", Adapter(config.fused_width))
        if config.extra_heads:
            specs = [head_spec(name) for name in config.extra_heads]
            self.extra = nn.ModuleDict({spec.name: load_named(spec.module)(config, spec) for spec in specs})

    @classmethod
    def from_pretrained(cls, path_or_name: str | Path | None = None) -> FusionModel:
        """Load a model in float32 on the CPU, ready for inference.

        >>> model = FusionModel.from_pretrained()
        >>> model.config.classes
        ('person', 'vehicle', 'cyclist', 'cone', 'barrel')

        Args:
            path_or_name: A checkpoint; a folder that `save_pretrained` wrote; or the name of an installed
                plugin, for the weights that come with it. None: those of the plugin `fusion`.

        Raises:
            CheckpointError: There is no checkpoint, or it cannot be loaded.
            PluginError: No plugin of that name is installed.
        """
        model: FusionModel = load_named(f"{_FOR_PROGRAMS}:from_pretrained")(path_or_name)
        return model

    def save_pretrained(self, folder: str | Path, about: Any = None) -> Any:
        """Write `model.safetensors`, `config.json` and a card `README.md`: the layout of the Hub.

        Args:
            folder: The folder; it is made if missing.
            about: The metadata (`checkpoint.Checkpoint`); by default those that the model was loaded with.

        Returns:
            The metadata as they were written.

        Raises:
            CheckpointError: The files cannot be written, or a weight is not finite.
        """
        return load_named(f"{_FOR_PROGRAMS}:save_pretrained")(self, folder, about)

    def predict(
        self,
        image: NDArray[np.uint8] | None = None,
        points: NDArray[np.floating[Any]] | None = None,
        status: Mapping[str, float | Sequence[float]] | StatusReading | None = None,
        *,
        intensity: NDArray[np.floating[Any]] | None = None,
        radial_speed_m_s: NDArray[np.floating[Any]] | None = None,
        intrinsics: NDArray[np.float64] | None = None,
        camera_from_points: NDArray[np.float64] | None = None,
        min_score: float = 0.3,
    ) -> Output:
        """Return the output for one moment; any of the sensors may be missing.

        Modules in training are switched to inference meanwhile, and back. Several threads may call it at
        once, but not while another trains the model.

        >>> model = FusionModel.from_pretrained()
        >>> image = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
        >>> output = model.predict(image=image, status={"speed": 3.1})
        >>> output.detections.based_on, output.control["curvature"].unit
        (('camera', 'status'), '1/m')

        Args:
            image: uint8 [H, W, 3], RGB. Boxes are in its pixels.
            points: [N, 3] in metres, in the range sensor's frame (x forward, y left, z up).
            status: Channel of `config.status` -> its value now, or its last values at the rate of the
                checkpoint (`about.preprocess["status_rate_hz"]`), newest last. The rest counts as unknown.
                A `StatusReading` gives one value of each.
            intensity: [N], of the points, in the sensor's unit; 0 without it, which weights that learned
                from a sensor with intensities take for what it is: dark surfaces.
            radial_speed_m_s: [N], of the points, positive away from the sensor; 0 without it.
            intrinsics: [3, 3], of the image; with `camera_from_points` it places the points in it.
            camera_from_points: [4, 4], from the frame of the points to the camera's (x right, y down,
                z forward); `np.eye(4)` where they are in that frame.
            min_score: Detections of lower scores are left out.

        Returns:
            The output. Its warnings `camera_absent`, `range_absent` and `status_absent` say why an input that
            was given cannot be used (no point within the range, a picture that is too large).

        Raises:
            ValueError: An array, a matrix or a channel is none, or what another argument needs is missing.
        """
        columns, placing = (intensity, radial_speed_m_s), (intrinsics, camera_from_points)
        output: Output = load_named(f"{_FOR_ARRAYS}:predict")(
            self, image, points, status, *columns, *placing, min_score
        )
        return output

    def branches(self) -> list[Any]:
        """Return the encoders in the order of `SENSORS`."""
        return [self.get_submodule(name) for name in SENSORS]

    def forward(self, inputs: Inputs) -> Predictions:
        """Return the predictions of a batch; one static graph."""
        return self.decode(self.dense(inputs))

    def dense(self, inputs: Inputs) -> DenseOutputs:
        """Return the outputs of the heads for a batch before decoding, for training."""
        cleaned = self.clean(inputs)
        fused = self.fuse(self.encode(cleaned), cleaned.present, cleaned.age)
        return self.heads(fused, cleaned.present)

    def control_reading(self, inputs: Inputs) -> Tensor:
        """Return [B, F]: the features that `control_head.answer` takes, all that control depends on."""
        cleaned = self.clean(inputs)
        fused = self.fuse(self.encode(cleaned), cleaned.present, cleaned.age)
        _, coarse = self.top_down(fused)
        return self.control_head.read(self._own("control", coarse), fused.pooled)

    def clean(self, inputs: Inputs) -> Cleaned:
        """Replace absent, invalid and unknown values before anything is computed from them."""
        here = dict(zip(SENSORS, (inputs.present > 0.5).unbind(1), strict=True))
        image = self.normaliser.image(inputs.image, here["camera"])
        returns = self._without_pixels(inputs.returns)
        valid = (inputs.returns_valid > 0.5) & returns.isfinite().all(-1) & here["range"][:, None]
        returns = torch.where(valid.unsqueeze(-1), returns, 0.0)
        normalised = torch.where(valid.unsqueeze(-1), self.normaliser.channels("returns", returns), 0.0)
        known = inputs.status.isfinite() & here["status"][:, None, None]
        values = self.normaliser.channels("status", torch.where(known, inputs.status, 0.0))
        here["range"] = here["range"] & valid.any(1)  # a scan without valid returns counts as absent
        present = torch.stack([*here.values()], 1)
        age = torch.where(present & inputs.age_s.isfinite(), inputs.age_s, 0.0).clamp(0.0, MAX_AGE_S)
        return Cleaned(
            image=image,
            normalised=normalised,
            returns=returns,
            valid=valid.to(returns.dtype),
            status=torch.where(known, values, 0.0),
            known=known.to(values.dtype),
            present=present,
            age=torch.log1p(age / USUAL_AGE_S),
        )

    def _without_pixels(self, returns: Tensor) -> Tensor:
        """Return the returns [B, M, 8] with those outside the image, or of an unknown rig, at the mean pixel,
        which carries no information. The splat leaves them out."""
        in_image = returns[..., IN_IMAGE:] > 0.5
        pixels = torch.where(in_image, returns[..., :2], self.normaliser.get_buffer("returns_mean")[:2])
        return torch.cat([pixels, returns[..., 2:]], -1)

    def encode(self, cleaned: Cleaned) -> Encoded:
        """Return the features of each branch, whatever else is present."""
        return tuple(branch(*(getattr(cleaned, name) for name in branch.reads)) for branch in self.branches())

    def fuse(self, encoded: Encoded, present: Tensor, age: Tensor) -> Pyramid:
        """Return the shared representation: every stride fused before the top-down path.

        Where the control head reads the status itself (`control_status`), it is appended to `pooled`: the
        gates serve all heads, which need less of the status than control does.
        """
        levels = zip(self.fusion, zip(*encoded, strict=True), strict=True)
        fine, middle, coarse, pooled = (fusion(maps, present, age) for fusion, maps in levels)
        if self.config.control_status:
            known = present[:, STATUS, None, None, None].to(pooled.dtype)
            pooled = torch.cat([pooled, encoded[STATUS].pooled.to(pooled.dtype) * known], 1)
        return Pyramid(fine, middle, coarse, pooled)

    def on_subsets(self, inputs: Inputs, subsets: Tensor) -> Iterator[Predictions]:
        """Yield the predictions with only some inputs present, for each of several subsets (bool [N, 3]).

        Each equals the result of `forward` with the others absent; the branches are computed once for all.
        """
        cleaned = self.clean(inputs)
        encoded = self.encode(cleaned)
        for subset in subsets:
            present = cleaned.present & subset
            fused = self.fuse(encoded, present, torch.where(present, cleaned.age, 0.0))
            yield self.decode(self.heads(fused, present))

    def heads(self, fused: Pyramid, present: Tensor) -> DenseOutputs:
        """Return the outputs of all heads on the shared representation."""
        fine, coarse = self.top_down(fused)
        if self.config.shared_tower:
            fine = self.tower(fine).relu_()
        raw = self.box_head(self._own("box", fine))
        # Each in one piece: torch computes on slices of channels one by one, seven times as long. And split
        # with the cells in a row: OpenVINO keeps the channels of maps last, and would copy value by value.
        sides, sides_log_scale, distance, distance_log_scale = (
            part.unflatten(2, raw.shape[2:]).contiguous() for part in raw.flatten(2).split((4, 4, 1, 1), 1)
        )
        mean, std = self.normaliser.log_distance_mean, self.normaliser.log_distance_std
        control, control_log_scale = self.control_head(self._own("control", coarse), fused.pooled)
        return DenseOutputs(
            heatmap=self.class_head(self._own("class", fine)),
            ltrb=self.config.output_stride * sides.exp(),
            ltrb_log_scale=sides_log_scale,
            distance_log=distance * std + mean,
            distance_log_scale=distance_log_scale,
            control=control,
            control_log_scale=control_log_scale,
            fused=fused,
            present=present,
            extra=tuple(head(coarse, fused.pooled) for head in self._extra_heads()),
        )

    def _extra_heads(self) -> list[Any]:
        return [self.get_submodule(f"extra.{name}") for name in self.config.extra_heads]

    def _own(self, head: str, shared: Tensor) -> Tensor:
        """Return a shared map as a head reads it: through its adapter, if it has one."""
        if head not in self.config.adapters:
            return shared
        adapted: Tensor = self.get_submodule(f"{head}_adapter")(shared)
        return adapted

    def decode(self, dense: DenseOutputs) -> Predictions:
        """Decode the outputs of the heads to predictions."""
        normaliser = self.normaliser
        predictions: Predictions = self.decoder(dense, normaliser.control_mean, normaliser.control_std)
        if not self.config.extra_heads:
            return predictions
        pairs = [h.decode(raw) for h, raw in zip(self._extra_heads(), dense.extra, strict=True)]
        arrays = (array for pair in pairs for array in pair)
        return predictions_type(self.config.extra_heads)(*predictions, *arrays)
