"""Dense maps to detections, inside the graph: sigmoid, 3x3 peaks, top-K, voting, twins; and calibration.

No loop, no data-dependent shape: it compiles, exports and runs as part of the network.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from perception.models.config import ModelConfig
from perception.models.heads import DenseOutputs
from perception.models.tensors import Predictions
from perception.types import SENSORS

SUBSETS = 2 ** len(SENSORS)
TWIN_IOU = 0.6
"""The IoU with a better detection of its class above which a detection is a duplicate."""
VOTE_WIDTH = 0.02
"""How quickly a neighbour's vote fades where its box is another: sigma_t of He et al. 2019."""
VOTERS = 5
"""Cells along each axis around a peak that have a vote. Of 1, 3, 5 and 7 this was best on logs kept for
calibration: 3 to 5 raised mAP from 0.540 to 0.5415, 7 by no more; 1 to 3 by 0.008."""


def subset_index(present: Tensor) -> Tensor:
    """Number the subset of the sensors that is present: camera counts 1, range 2, status 4.

    Args:
        present: [B, 3].

    Returns:
        int64 [B].
    """
    first, *others = present.to(torch.int64).unbind(1)
    return sum((2**place * bit for place, bit in enumerate(others, 1)), first)


class Calibration(nn.Module):
    """Corrections measured after training, one set for each subset of the sensors; the identity by default.

    Buffers: `score_scale`, `score_bias` and `score_spread` [8, C] act on logits, class by class (Platt 1999,
    with the box's uncertainty as a second feature: an uncertain box is right less often);
    `box_factor` [8, 4], `distance_factor` [8, 1] and `control_factor` [8, A] multiply standard deviations.
    Rows are numbered by `subset_index`.
    """

    score_scale: Tensor
    score_bias: Tensor
    score_spread: Tensor
    box_factor: Tensor
    distance_factor: Tensor
    control_factor: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        classes, control = len(config.classes), len(config.control)
        self.register_buffer("score_scale", torch.ones(SUBSETS, classes))
        self.register_buffer("score_bias", torch.zeros(SUBSETS, classes))
        self.register_buffer("score_spread", torch.zeros(SUBSETS, classes))
        self.register_buffer("box_factor", torch.ones(SUBSETS, 4))
        self.register_buffer("distance_factor", torch.ones(SUBSETS, 1))
        self.register_buffer("control_factor", torch.ones(SUBSETS, control))

    def logits(self, logits: Tensor, spread: Tensor, subset: Tensor) -> Tensor:
        """Return [B, C, h, w]: the corrected logits; `spread` [B, 1, h, w] as `Decoder.spread` gives it."""
        scale, bias, by_spread = (
            b[subset][..., None, None] for b in (self.score_scale, self.score_bias, self.score_spread)
        )
        return logits * scale + bias + spread * by_spread


class Decoder(nn.Module):
    """The part of the graph after the heads: from dense outputs to predictions."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.detections = config.detections
        self.height, self.width = config.input_height, config.input_width
        self.stride, self.map_width = config.output_stride, config.input_width // config.output_stride
        # The standard deviation of a Laplace distribution of scale b is sqrt(2) b; a Gaussian's is its scale.
        self.std_per_scale = math.sqrt(2.0) if config.loss_family == "laplace" else 1.0
        self.calibration = Calibration(config)

    def forward(self, dense: DenseOutputs, control_mean: Tensor, control_std: Tensor) -> Predictions:
        """Return the predictions of a batch; all scores are 0 where no sensor is present."""
        subset = subset_index(dense.present)
        logits = self.calibration.logits(dense.heatmap, self.spread(dense.ltrb, dense.ltrb_log_scale), subset)
        top, labels, cells = self._peaks(logits)
        boxes, distance_log = self._vote(dense, cells)
        twins = _twins(labels, boxes)
        top, order = torch.where(twins, -torch.inf, top).topk(self.detections, dim=1)  # to the end
        labels, cells = labels.gather(1, order), cells.gather(1, order)
        scores = torch.where(dense.present.any(1, keepdim=True), top.sigmoid(), 0.0)
        distance_m = distance_log.gather(1, order).exp()
        relative = _at(dense.distance_log_scale, cells)[:, 0].exp()  # of the logarithm: nearly a fraction
        box_scale = _at(dense.ltrb_log_scale, cells).exp().transpose(1, 2)
        calibration, k = self.calibration, self.std_per_scale
        return Predictions(
            scores=scores,
            labels=labels,
            boxes=boxes.gather(2, order.unsqueeze(1).expand(-1, 4, -1)).transpose(1, 2),
            box_std=k * box_scale * calibration.box_factor[subset].unsqueeze(1),
            distance_m=distance_m,
            distance_std_m=k * distance_m * relative * calibration.distance_factor[subset],
            control=dense.control * control_std + control_mean,
            control_std=k * dense.control_log_scale.exp() * control_std * calibration.control_factor[subset],
        )

    def spread(self, ltrb: Tensor, log_scale: Tensor) -> Tensor:
        """Return the uncertainty of each cell's box: the logarithm of the standard deviations of opposite
        sides over the part of their distance inside the image, summed over both axes. [B, 4, h, w] each, to
        [B, 1, h, w].
        """
        left, top, right, bottom = ltrb.unbind(1)
        rows, columns = ltrb.shape[2:]
        u = (torch.arange(columns, device=ltrb.device, dtype=ltrb.dtype) + 0.5) * self.stride
        v = ((torch.arange(rows, device=ltrb.device, dtype=ltrb.dtype) + 0.5) * self.stride).unsqueeze(1)
        width = torch.minimum(left, u) + torch.minimum(right, self.width - u)
        height = torch.minimum(top, v) + torch.minimum(bottom, self.height - v)
        std = self.std_per_scale * log_scale.exp()
        across = (std[:, 0] + std[:, 2]) / width.clamp(min=1.0)
        along = (std[:, 1] + std[:, 3]) / height.clamp(min=1.0)
        return (across + along).log().unsqueeze(1)

    def _peaks(self, logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the K best cells that no neighbour of the same class exceeds: logits, labels, cells [B, K].

        The logits are compared, not the scores: the order is the same, and high scores do not round to equal.
        """
        highest = _highest_around(logits)
        peaks = torch.where(logits == highest, logits, -torch.inf).flatten(1)
        top, where = peaks.topk(self.detections, dim=1)
        cells_of_a_class = logits.shape[2] * logits.shape[3]
        return top, where // cells_of_a_class, where % cells_of_a_class

    def _vote(self, dense: DenseOutputs, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Return boxes of cells [B, K], `xyxy` clipped to the image [B, 4, K], and log distances [B, K].

        Each is the mean over the cells around, weighed by certainty and by how like the cell's own
        box theirs is (variance voting, He et al. 2019): neighbours see the same object from other places.
        """
        rows, columns = dense.ltrb.shape[2:]
        step = torch.arange(VOTERS**2, device=cells.device)
        row = (cells // columns).unsqueeze(-1) + step // VOTERS - VOTERS // 2  # [B, K, 25]
        column = (cells % columns).unsqueeze(-1) + step % VOTERS - VOTERS // 2
        exists = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
        around = (row.clamp(0, rows - 1) * columns + column.clamp(0, columns - 1)).flatten(1)
        own = VOTERS**2 // 2

        def voted(values: Tensor) -> Tensor:
            return values.reshape(*values.shape[:2], *row.shape[1:])  # [B, ., K, 25]

        boxes = voted(self._boxes(around, _at(dense.ltrb, around)))
        overlap, union = _overlap_union(boxes[..., own : own + 1], boxes)
        unlike = 1.0 - overlap / union.clamp(min=1e-6)
        like = torch.where(exists, -unlike.square() / VOTE_WIDTH, -torch.inf).unsqueeze(1)

        def mean(values: Tensor, log_scale: Tensor) -> Tensor:
            weight = like - 2.0 * voted(_at(log_scale, around))  # its logarithm: scales differ widely
            return (weight.softmax(3) * values).sum(3)

        x1, y1, x2, y2 = mean(boxes, dense.ltrb_log_scale).unbind(1)
        width, height = float(self.width), float(self.height)  # a mean is rounded
        inside = [x1.clamp(max=width), y1.clamp(max=height), x2.clamp(max=width), y2.clamp(max=height)]
        distance = mean(voted(_at(dense.distance_log, around)), dense.distance_log_scale)
        return torch.stack(inside, 1), distance[:, 0]

    def _boxes(self, cells: Tensor, ltrb: Tensor) -> Tensor:
        """Return boxes [B, 4, N] of cells [B, N] and their distances to the sides [B, 4, N], `xyxy` clipped
        to the image."""
        u = (cells % self.map_width + 0.5) * self.stride
        v = (cells // self.map_width + 0.5) * self.stride
        left, top, right, bottom = ltrb.unbind(1)
        x1, x2 = (u - left).clamp(min=0.0), (u + right).clamp(max=float(self.width))
        y1, y2 = (v - top).clamp(min=0.0), (v + bottom).clamp(max=float(self.height))
        return torch.stack([x1, y1, x2, y2], 1)


def _highest_around(x: Tensor) -> Tensor:
    """Return the greatest of the 3x3 cells around each, [B, C, h, w]: along rows, then along columns.

    A max-pool of torch takes ten times as long on a CPU.
    """
    x = F.pad(x.contiguous(), (1, 1, 1, 1), value=-torch.inf)
    x = torch.maximum(torch.maximum(x[..., :-2], x[..., 1:-1]), x[..., 2:])
    return torch.maximum(torch.maximum(x[..., :-2, :], x[..., 1:-1, :]), x[..., 2:, :])


def _overlap_union(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return the areas of intersection and of union of boxes `xyxy`, broadcast: [B, 4, ...] each to
    [B, ...]."""
    low, high = torch.maximum(a[:, :2], b[:, :2]), torch.minimum(a[:, 2:], b[:, 2:])
    sizes = [high - low, a[:, 2:] - a[:, :2], b[:, 2:] - b[:, :2]]
    overlap, one, other = (size[:, 0].clamp(min=0.0) * size[:, 1].clamp(min=0.0) for size in sizes)
    return overlap, one + other - overlap


def _twins(labels: Tensor, boxes: Tensor) -> Tensor:
    """Return bool [B, K]: which boxes [B, 4, K] overlap a better one of their class by more than `TWIN_IOU`.

    A large object has several peaks farther apart than the 3x3 around each. All pairs are compared once, as
    in Fast NMS (Bolya et al. 2019): a twin counts although it is one itself, and nothing depends on a loop.
    """
    overlap, union = _overlap_union(boxes.unsqueeze(3), boxes.unsqueeze(2))
    order = torch.arange(labels.shape[1], device=labels.device)
    better = order.unsqueeze(1) < order.unsqueeze(0)
    same = labels.unsqueeze(2) == labels.unsqueeze(1)
    twins: Tensor = ((overlap > TWIN_IOU * union) & same & better).any(1)
    return twins


def _at(values: Tensor, cells: Tensor) -> Tensor:
    """Return the values [B, N, h, w] at the cells [B, K] as [B, N, K]."""
    flat = values.flatten(2)
    return flat.gather(2, cells.unsqueeze(1).expand(-1, flat.shape[1], -1))
