"""Dense targets of the losses: the truth for every cell of the output.

Each object is a Gaussian around its centre cell, 1 at the centre, its width a fraction of the box along each
axis (Zhou et al. 2019; elliptic as in Liu et al. 2020, TTFNet). Box and distance are trained where the
Gaussian of an object is high, each object with the same total weight; of two in a cell, the smaller box wins.

Dimension letters: B batch, N boxes, C classes, h x w cells of the output map, A control channels.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

SPREAD = 0.54 / 6
"""Standard deviation of a Gaussian as a fraction of the box's side (TTFNet)."""

LEAST_SPREAD = 0.45  # cells
LEAST_TAUGHT = 0.8  # cells
"""The box of a small object is also trained one cell around its centre, where its peak may be predicted."""

TAUGHT_FROM = 0.3
"""Cells in which an object's Gaussian is at least this learn its box."""

LABELLED_FROM = 0.01
"""Cells in which an object's Gaussian is at least this are known, also where its class is not complete."""


class Grid(NamedTuple):
    """The cells of the output map."""

    height: int
    width: int
    stride: int = 4  # pixels


class DenseTruth(NamedTuple):
    """Boxes of a batch, padded; images without known boxes have `boxes_known` 0."""

    labels: Tensor  # int64 [B, N] class, -1: padding
    boxes: Tensor  # [B, N, 4] xyxy, input pixels
    distance_m: Tensor  # [B, N] NaN where unknown
    ignored: Tensor  # bool [B, N] excluded from the losses
    boxes_known: Tensor  # [B] 0 or 1
    control: Tensor  # [B, A] standardised, NaN where unknown
    extra: Tensor = torch.empty(0, 0)  # [B, E] of the further heads (`truth_columns`), NaN where unknown
    complete: Tensor = torch.ones(1, 1)  # [B, C] 1: every object of the class has a box; 0: perhaps not
    # bool [B, N] which of the ignored may hold any number of objects, anywhere in the box
    regions: Tensor = torch.zeros(1, 1, dtype=torch.bool)
    # bool [B, N] which of the ignored stand for every class, not for that of their label alone
    of_every_class: Tensor = torch.zeros(1, 1, dtype=torch.bool)


class Targets(NamedTuple):
    """Dense targets. Weights are 0 where nothing is trained."""

    heatmap: Tensor  # [B, C, h, w] 0 to 1
    counted: Tensor  # [B, 1 or C, h, w] 0 where an ignored object of the class lies, or nothing is known
    ltrb: Tensor  # [B, 4, h, w] from the cell's centre to the sides, input pixels
    distance_log: Tensor  # [B, 1, h, w]
    box_weight: Tensor  # [B, 1, h, w] sums to 1 for each object
    distance_weight: Tensor  # [B, 1, h, w] the same, of objects whose distance is known
    objects: Tensor  # [] number of objects trained
    control: Tensor  # [B, A] standardised, 0 where unknown
    control_known: Tensor  # [B, A] 0 or 1
    extra: Tensor = torch.empty(0, 0)  # [B, E] of the further heads (`truth_columns`), NaN where unknown


def make_targets(truth: DenseTruth, classes: int, grid: Grid) -> Targets:
    """Return the dense targets of a batch.

    Of a class that is not completely labelled, and in a region to ignore, nothing is said of cells away from
    the labelled objects: there an object without a box may be. Of another ignored object that is so around
    its centre, where it would be predicted. What is ignored is so for its class alone, as in the evaluation,
    or for every class where truth names none.

    Args:
        truth: Boxes of all samples.
        classes: C.
        grid: h, w and the stride.
    """
    real = (truth.labels >= 0) & (truth.boxes_known[:, None] > 0)
    taught = real & ~truth.ignored
    objects = _gaussians(truth, taught, grid)
    heatmap = _heatmap(truth, objects, classes)
    counted = torch.ones_like(heatmap[:, :1]) * truth.boxes_known[:, None, None, None]
    ignored = real & truth.ignored
    highest = heatmap.amax(1, keepdim=True)
    labelled = highest >= LABELLED_FROM
    if ignored.any():
        at_centres, in_regions = _hidden(truth, ignored, classes, grid)
        unknown = (at_centres & (highest < 1)) | (in_regions & ~labelled)
        counted = torch.where(unknown, 0.0, counted)
    if not bool((truth.complete > 0).all()):
        counted = counted * torch.maximum(truth.complete[..., None, None], labelled.to(counted.dtype))
    ltrb, distance, weight, metric = _boxes(truth, taught, grid)
    known = truth.control.isfinite()
    return Targets(
        heatmap=heatmap,
        counted=counted,
        ltrb=ltrb,
        distance_log=distance,
        box_weight=weight,
        distance_weight=metric,
        objects=taught.sum().to(heatmap.dtype),
        control=torch.where(known, truth.control, 0.0),
        control_known=known.to(heatmap.dtype),
        extra=truth.extra,
    )


def _gaussians(truth: DenseTruth, which: Tensor, grid: Grid) -> Tensor:
    """Return [B, N, h, w]: the Gaussians of the objects selected by `which` [B, N]; 0 for the others."""
    (gx, _), (gy, _) = _bells(truth, grid, LEAST_SPREAD)
    return (gy * which[..., None])[..., :, None] * gx[..., None, :]


def _hidden(truth: DenseTruth, ignored: Tensor, classes: int, grid: Grid) -> tuple[Tensor, Tensor]:
    """Return bool [B, C, h, w] twice: the cells around the centre of an ignored object of a class, and those
    inside a region to ignore of a class."""
    first = ignored.to(torch.uint8).argsort(1, descending=True)[:, : int(ignored.sum(1).max())]
    which, labels, regions, every = (
        x.expand_as(ignored).gather(1, first)
        for x in (ignored, truth.labels, truth.regions, truth.of_every_class)
    )
    truth = truth._replace(boxes=truth.boxes.gather(1, first[..., None].expand(-1, -1, 4)))
    own = labels[:, None] == torch.arange(classes, device=labels.device)[:, None]
    of_class = ((own | every[:, None]) & which[:, None]).to(truth.boxes.dtype)  # [B, C, N]
    around = (_gaussians(truth, which, grid) >= TAUGHT_FROM).flatten(2).to(of_class.dtype)
    at_centres = (of_class @ around > 0).reshape(-1, classes, grid.height, grid.width)
    (_, columns), (_, rows) = _bells(truth, grid, LEAST_SPREAD)
    spans = (rows & regions[..., None]).to(of_class.dtype).transpose(1, 2)  # [B, h, N]
    in_regions = (of_class[:, :, None] * spans[:, None]) @ columns.to(of_class.dtype)[:, None] > 0
    return at_centres, in_regions


def _bells(
    truth: DenseTruth, grid: Grid, least: float
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return along x and along y: each object's Gaussian [B, N, cells], and whether a cell's centre lies
    between its sides; the object's centre cell always counts as inside."""
    height, width, stride = grid
    x1, y1, x2, y2 = (truth.boxes[..., k, None] / stride - 0.5 for k in range(4))  # in cells, 0: first centre
    bells = []
    for low, high, count in ((x1, x2, width), (y1, y2, height)):
        cells = torch.arange(count, device=truth.boxes.device, dtype=torch.float32)
        bell = _bell(cells, ((low + high) / 2).round().clamp(0, count - 1), (high - low) * SPREAD, least)
        bells.append((bell, ((cells > low) & (cells < high)) | (bell == 1)))
    return bells[0], bells[1]


def _bell(cells: Tensor, centre: Tensor, spread: Tensor, least: float) -> Tensor:
    return torch.exp(-0.5 * ((cells - centre) / spread.clamp(min=least)).square())


def _heatmap(truth: DenseTruth, gaussian: Tensor, classes: int) -> Tensor:
    batch, count, height, width = gaussian.shape
    heatmap = torch.zeros(batch, classes, height, width, device=gaussian.device)
    index = truth.labels.clamp(min=0)[..., None, None].expand(-1, -1, height, width)
    return heatmap.scatter_reduce(1, index, gaussian, "amax") if count else heatmap


def _boxes(truth: DenseTruth, taught: Tensor, grid: Grid) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the sides and distance of the object that each cell belongs to, and the weights of both."""
    batch, count = truth.labels.shape
    height, width, stride = grid
    if not count:
        zeros = torch.zeros(batch, 1, height, width, device=truth.boxes.device)
        return zeros.expand(-1, 4, -1, -1), zeros, zeros, zeros
    owner, claim = _owners(truth, taught, grid)
    total = torch.zeros(batch, count, device=claim.device).scatter_add_(1, owner, claim)
    weight = (claim / total.clamp(min=1e-6).gather(1, owner)).reshape(batch, 1, height, width)
    x = (torch.arange(width, device=claim.device) + 0.5) * stride
    y = (torch.arange(height, device=claim.device)[:, None] + 0.5) * stride
    boxes = truth.boxes.gather(1, owner[..., None].expand(-1, -1, 4)).transpose(1, 2)
    x1, y1, x2, y2 = boxes.reshape(batch, 4, height, width).unbind(1)
    ltrb = torch.stack([x - x1, y - y1, x2 - x, y2 - y], 1).clamp(min=0.1)
    known = truth.distance_m.isfinite() & (truth.distance_m > 0)
    metres = torch.where(known, truth.distance_m, 1.0).gather(1, owner).reshape(batch, 1, height, width)
    return ltrb, metres.log(), weight, weight * known.gather(1, owner).reshape_as(metres)


def _owners(truth: DenseTruth, taught: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
    """Return [B, h w]: the smallest object whose Gaussian in a cell is high enough, and that value, or 0."""
    (gx, inside_x), (gy, inside_y) = _bells(truth, grid, LEAST_TAUGHT)
    area = (truth.boxes[..., 2:] - truth.boxes[..., :2]).clamp(min=0.1).prod(-1)
    by_size = area.argsort(dim=1, stable=True)[..., None]
    rows = (gy * (inside_y & taught[..., None])).gather(1, by_size.expand_as(gy))
    columns = (gx * inside_x).gather(1, by_size.expand_as(gx))
    claims = (rows[..., :, None] * columns[..., None, :]).flatten(2)
    enough, first = (claims >= TAUGHT_FROM).to(torch.uint8).max(1, keepdim=True)  # the first of equal ones
    claim = torch.where(enough > 0, claims.gather(1, first), 0.0).squeeze(1)
    return by_size.squeeze(-1).gather(1, first.squeeze(1)), claim
