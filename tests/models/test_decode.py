"""The decoder against one written with loops, and the calibration inside it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from perception.models.camera_encoder import Pyramid
from perception.models.config import ModelConfig
from perception.models.decode import TWIN_IOU, Decoder, subset_index
from perception.models.heads import DenseOutputs
from tests.fusion_scenes import SMALL, SUBSETS

H, W = SMALL.input_height // 4, SMALL.input_width // 4


def dense_outputs(
    config: ModelConfig, batch: int, seed: int, present: tuple[float, ...] = (1, 1, 1)
) -> DenseOutputs:
    g = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(batch, *shape, generator=g)

    a = len(config.control)
    return DenseOutputs(
        heatmap=F.avg_pool2d(draw(len(config.classes), H, W), 3, 1, 1) * 9,  # hills: neighbours are near
        ltrb=draw(4, H, W).exp() * 8,
        ltrb_log_scale=draw(4, H, W),
        distance_log=draw(1, H, W),
        distance_log_scale=draw(1, H, W),
        control=draw(a),
        control_log_scale=draw(a),
        fused=Pyramid(*[torch.zeros(batch, 1, 1, 1)] * 4),
        present=torch.tensor([present] * batch) > 0,
    )


def reference(decoder: Decoder, dense: DenseOutputs, sample: int, factor: float) -> list[dict[str, object]]:
    """All peaks of a sample, best first: loops, float64, no torch."""
    heat = dense.heatmap[sample].double().numpy()
    ltrb, scale = dense.ltrb[sample].double().numpy(), dense.ltrb_log_scale[sample].double().numpy()
    log_m, log_s = (
        dense.distance_log[sample, 0].double().numpy(),
        dense.distance_log_scale[sample, 0].double().numpy(),
    )
    row = sum(2**i for i in range(3) if dense.present[sample, i])
    calibration = {name: values[row].double().numpy() for name, values in decoder.calibration.named_buffers()}
    unsure = np.array(
        [[spread(ltrb[:, i, j], factor * np.exp(scale[:, i, j]), i, j) for j in range(W)] for i in range(H)]
    )
    heat = (
        heat * calibration["score_scale"][:, None, None]
        + calibration["score_bias"][:, None, None]
        + unsure * calibration["score_spread"][:, None, None]
    )
    found = []
    for label in range(heat.shape[0]):
        for i in range(H):
            for j in range(W):
                around = heat[label, max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2]
                if heat[label, i, j] < around.max():
                    continue
                logit = heat[label, i, j]
                voters = [(a, b) for a in range(i - 2, i + 3) for b in range(j - 2, j + 3)
                          if 0 <= a < H and 0 <= b < W]  # fmt: skip
                like = [
                    math.exp(-((1 - iou(clipped(ltrb, i, j), clipped(ltrb, *c))) ** 2) / 0.02) for c in voters
                ]
                metres = math.exp(
                    voted(like, [math.exp(log_s[c]) for c in voters], [log_m[c] for c in voters])
                )
                found.append(
                    {
                        "scores": 1 / (1 + math.exp(-logit)),
                        "labels": label,
                        "boxes": [
                            voted(
                                like,
                                [math.exp(scale[(k, *c)]) for c in voters],
                                [clipped(ltrb, *c)[k] for c in voters],
                            )
                            for k in range(4)
                        ],
                        "box_std": factor * np.exp(scale[:, i, j]) * calibration["box_factor"],
                        "distance_m": metres,
                        "distance_std_m": factor
                        * metres
                        * math.exp(log_s[i, j])
                        * calibration["distance_factor"][0],
                    }
                )
    found.sort(key=lambda d: -float(d["scores"]))  # type: ignore[arg-type]
    twin = [any(are_twins(better, worse) for better in found[:i]) for i, worse in enumerate(found)]
    return [d | {"scores": 0.0} if twin[i] else d for i, d in enumerate(found)]  # in the order of the peaks


def clipped(ltrb: np.ndarray, i: int, j: int) -> list[float]:
    """The box that a cell says, within the image."""
    u, v = 4 * j + 2, 4 * i + 2
    left, top, right, bottom = ltrb[:, i, j]
    return [max(u - left, 0), max(v - top, 0), min(u + right, 4 * W), min(v + bottom, 4 * H)]


def voted(like: list[float], scales: list[float], values: list[float]) -> float:
    """Equation 6 of He et al. 2019."""
    weights = [p / scale**2 for p, scale in zip(like, scales, strict=True)]
    return sum(w * x for w, x in zip(weights, values, strict=True)) / sum(weights)


def iou(a: list[float], b: list[float]) -> float:
    ax1, ay1, ax2, ay2 = a
    bx1, by1, bx2, by2 = b
    overlap = max(min(ax2, bx2) - max(ax1, bx1), 0) * max(min(ay2, by2) - max(ay1, by1), 0)
    areas = [max(x2 - x1, 0) * max(y2 - y1, 0) for x1, y1, x2, y2 in (a, b)]
    return overlap / max(sum(areas) - overlap, 1e-6)


def are_twins(a: dict[str, object], b: dict[str, object]) -> bool:
    """Whether two detections of one class overlap by more than TWIN_IOU."""
    return a["labels"] == b["labels"] and iou(a["boxes"], b["boxes"]) > TWIN_IOU  # type: ignore[arg-type]


def spread(ltrb: np.ndarray, std: np.ndarray, i: int, j: int) -> float:
    """Uncertainty of the sides over what the image holds of the box."""
    u, v = 4 * j + 2, 4 * i + 2
    width = max(min(ltrb[0], u) + min(ltrb[2], 4 * W - u), 1)
    height = max(min(ltrb[1], v) + min(ltrb[3], 4 * H - v), 1)
    return math.log((std[0] + std[2]) / width + (std[1] + std[3]) / height)


def random_calibration(decoder: Decoder, seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    for name, buffer in decoder.calibration.named_buffers():
        free = name in ("score_bias", "score_spread")
        buffer.normal_(generator=g) if free else buffer.uniform_(0.5, 2.0, generator=g)


@pytest.mark.parametrize(
    ("family", "present"),
    [
        *(("laplace", present) for present in SUBSETS[1:]),
        *(pytest.param("gaussian", present, marks=pytest.mark.slow) for present in SUBSETS[1:-1]),
        ("gaussian", SUBSETS[-1]),
    ],
)
def test_it_agrees_with_loops(family: str, present: tuple[float, ...]) -> None:
    config = ModelConfig.from_dict(SMALL.to_dict() | {"loss_family": family})
    decoder = Decoder(config)
    random_calibration(decoder, seed=1)
    dense = dense_outputs(config, 2, seed=2, present=present)
    mean, std = torch.tensor([1.0, -2.0]), torch.tensor([0.5, 3.0])
    said = decoder(dense, mean, std)
    factor = math.sqrt(2) if family == "laplace" else 1.0
    for sample in range(2):
        found = reference(decoder, dense, sample, factor)[: config.detections]
        best = [d for d in found if d["scores"]]  # twins come last, in any order
        assert (said.scores[sample, len(best) :] == 0).all()
        for name in ("scores", "labels", "boxes", "box_std", "distance_m", "distance_std_m"):
            expected = np.array([d[name] for d in best])
            np.testing.assert_allclose(
                getattr(said, name)[sample, : len(best)].numpy(), expected, rtol=1e-4, atol=1e-4, err_msg=name
            )
    row = int(subset_index(dense.present)[0])
    scale = dense.control_log_scale.exp() * std * decoder.calibration.control_factor[row]
    torch.testing.assert_close(said.control, dense.control * std + mean)
    torch.testing.assert_close(said.control_std, factor * scale)


def test_uncalibrated_is_the_identity() -> None:
    decoder = Decoder(SMALL)
    dense = dense_outputs(SMALL, 1, seed=3)
    unsure = decoder.spread(dense.ltrb, dense.ltrb_log_scale)
    logits = decoder.calibration.logits(dense.heatmap, unsure, subset_index(dense.present))
    assert torch.equal(logits, dense.heatmap)
    assert all((f == 1).all() for n, f in decoder.calibration.named_buffers() if n.endswith("factor"))


def test_a_second_peak_on_the_same_object_scores_nothing() -> None:
    decoder = Decoder(SMALL)
    dense = dense_outputs(SMALL, 1, seed=3)
    heat = torch.full_like(dense.heatmap, -8.0)
    heat[0, 0, 2, 2], heat[0, 0, 2, 6], heat[0, 1, 2, 4] = 3.0, 2.0, 1.0
    ltrb = torch.ones_like(dense.ltrb)
    for column in (2, 4, 6):  # the same box from three cells: x from 2 to 34, y from 2 to 18
        u, v = 4 * column + 2.0, 10.0
        ltrb[0, :, 2, column] = torch.tensor([u - 2, v - 2, 34 - u, 18 - v])
    said = decoder(dense._replace(heatmap=heat, ltrb=ltrb), torch.zeros(2), torch.ones(2))
    assert said.labels[0, :2].tolist() == [0, 1]  # another class may be in the same place
    assert (said.scores[0, :2] > 0.5).all()
    assert (said.scores[0, 2:] < 0.01).all()


def test_neighbours_that_see_the_same_object_have_a_say_by_their_certainty() -> None:
    decoder = Decoder(SMALL)
    dense = dense_outputs(SMALL, 1, seed=7)
    heat = torch.full_like(dense.heatmap, -8.0)
    heat[0, 0, 4, 4] = 3.0
    ltrb, log_scale = torch.full_like(dense.ltrb, 0.1), torch.zeros_like(dense.ltrb_log_scale)
    distance = torch.zeros_like(dense.distance_log)
    for column, shift, scale in ((4, 0.0, 2.0), (5, 0.2, 1.0)):  # the right one is twice as sure
        u, v = 4 * column + 2.0, 18.0
        ltrb[0, :, 4, column] = torch.tensor([u - 2 - shift, v - 2, 34 + shift - u, 34 - v])
        log_scale[0, :, 4, column] = math.log(scale)
        distance[0, :, 4, column] = math.log(10 + 5 * shift)
    dense = dense._replace(
        heatmap=heat, ltrb=ltrb, ltrb_log_scale=log_scale, distance_log=distance,
        distance_log_scale=torch.zeros_like(distance),
    )  # fmt: skip
    said = decoder(dense, torch.zeros(2), torch.ones(2))
    x1, y1, x2, y2 = said.boxes[0, 0].tolist()
    # 4 to 1, but for a likeness of exp(-0.0123^2 / 0.02) and what the other cells' tiny boxes weigh
    assert (x1, x2) == pytest.approx((2.16, 34.16), abs=0.005)
    assert (y1, y2) == pytest.approx((2, 34))
    assert float(said.distance_m[0, 0]) == pytest.approx(10.5, abs=0.02)  # equally sure: half way


@pytest.mark.parametrize("seed", range(3))
def test_boxes_stay_in_the_image(seed: int) -> None:
    decoder = Decoder(SMALL)
    dense = dense_outputs(SMALL, 4, seed)
    said = decoder(dense._replace(ltrb=dense.ltrb * 50), torch.zeros(2), torch.ones(2))
    assert (said.boxes >= 0).all()
    assert (said.boxes[..., 0::2] <= SMALL.input_width).all()
    assert (said.boxes[..., 1::2] <= SMALL.input_height).all()


def test_each_subset_has_its_own_calibration() -> None:
    decoder = Decoder(SMALL)
    dense = dense_outputs(SMALL, 8, seed=4)
    same = dense.heatmap[:1].expand(8, -1, -1, -1) / 10  # small, so that no score rounds to 1
    dense = dense._replace(heatmap=same, present=torch.tensor(SUBSETS) > 0)
    decoder.calibration.score_bias[:] = torch.arange(8.0)[:, None]
    said = decoder(dense, torch.zeros(2), torch.ones(2))
    assert subset_index(dense.present).tolist() == [int(c + 2 * r + 4 * s) for c, r, s in SUBSETS]
    logits = said.scores[1:, 0].double().logit()
    order = subset_index(dense.present)[1:].double()
    torch.testing.assert_close(logits - order, (logits - order)[:1].expand(7), rtol=1e-2, atol=1e-2)


def test_fewer_peaks_than_detections_are_filled_with_score_zero() -> None:
    decoder = Decoder(SMALL)
    dense = dense_outputs(SMALL, 1, seed=5)
    rows, columns = torch.meshgrid(torch.arange(H), torch.arange(W), indexing="ij")
    slope = -(rows + columns).float()  # one hill in the corner
    said = decoder(dense._replace(heatmap=slope.expand(1, 3, H, W)), torch.zeros(2), torch.ones(2))
    assert said.scores[0, :3].tolist() == [0.5] * 3
    assert (said.scores[0, 3:] == 0).all()
    assert all(values.isfinite().all() for values in said)
    assert said.boxes[0, 0, :2].tolist() == pytest.approx(
        [max(0.0, 2 - float(dense.ltrb[0, k, 0, 0])) for k in (0, 1)]
    )


def test_confident_peaks_keep_their_order() -> None:
    # In float32 the sigmoids of 18 and 20 are both 1: a decoder that compares scores cannot tell them apart.
    decoder = Decoder(SMALL)
    dense = dense_outputs(SMALL, 1, seed=6)
    heat = torch.full((1, 3, H, W), -9.0)
    heat[0, 0, 4, 4], heat[0, 0, 4, 5] = 18.0, 20.0
    said = decoder(dense._replace(heatmap=heat), torch.zeros(2), torch.ones(2))
    u = said.boxes[0, 0, 0] + dense.ltrb[0, 0, 4, 5]
    assert float(u) == pytest.approx(22.0)
    assert (said.scores[0, 1:] < 0.5).all()
