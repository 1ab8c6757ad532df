"""Dense targets: decoding them gives the boxes back, and what is ignored or unknown teaches nothing."""

from __future__ import annotations

from dataclasses import replace

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.models import DenseOutputs, FusionModel, ModelConfig
from perception.models.camera_encoder import Pyramid
from perception.training.losses import DenseTruth, HeadLosses, Targets, make_targets
from perception.training.losses.gaussian_focal import gaussian_focal
from perception.training.losses.giou import giou_loss
from perception.training.losses.targets import Grid
from tests.fusion_scenes import SMALL

H, W = 16, 32  # cells of a 64 x 128 image


def truth(boxes: list[list[float]], labels: list[int] | None = None, **changes: torch.Tensor) -> DenseTruth:
    count = len(boxes)
    found = DenseTruth(
        labels=torch.tensor([labels if labels is not None else [0] * count]),
        boxes=torch.tensor([boxes]).reshape(1, count, 4),
        distance_m=torch.arange(1.0, count + 1)[None],
        ignored=torch.zeros(1, count, dtype=torch.bool),
        boxes_known=torch.ones(1),
        control=torch.tensor([[0.5, torch.nan]]),
    )
    return found._replace(**changes)


def perfect(config: ModelConfig, true: Targets) -> DenseOutputs:
    """Heads that say exactly the targets, and are sure of what they were taught alone."""
    none = torch.zeros(1)
    unsure = torch.where(true.box_weight > 0, 0.0, 6.0)
    return DenseOutputs(
        heatmap=(true.heatmap * true.counted).clamp(1e-6, 1 - 1e-6).logit(),
        ltrb=true.ltrb,
        ltrb_log_scale=unsure.expand_as(true.ltrb),
        distance_log=true.distance_log,
        distance_log_scale=unsure,
        control=true.control,
        control_log_scale=torch.zeros_like(true.control),
        fused=Pyramid(none, none, none, none),
        present=torch.ones(1, 3, dtype=torch.bool),
    )


corner = st.tuples(st.integers(0, 100), st.integers(0, 44), st.integers(6, 28), st.integers(6, 20))


@given(st.lists(corner, min_size=1, max_size=6), st.integers(0, 5), st.sampled_from((4, 8)))
@settings(max_examples=25)
def test_heads_that_say_the_targets_decode_to_the_truth(
    corners: list[tuple[int, ...]], seed: int, stride: int
) -> None:
    """Every object whose centre cell is its own comes back: class, box, distance.

    It has to be larger than a cell, else the centre of its cell may lie outside.
    """
    least = stride + 2
    boxes = [[x, y, min(x + max(w, least), 128), min(y + max(h, least), 64)] for x, y, w, h in corners]
    labels = [(i + seed) % len(SMALL.classes) for i in range(len(boxes))]
    config, grid = replace(SMALL, detections=30, stride=stride), Grid(64 // stride, 128 // stride, stride)
    true = make_targets(truth([[float(v) for v in b] for b in boxes], labels), len(SMALL.classes), grid)
    found = FusionModel(config).decode(perfect(config, true))
    predicted = {
        (int(label), *(round(float(v), 2) for v in box), round(float(metres), 3))
        for score, label, box, metres in zip(
            found.scores[0], found.labels[0], found.boxes[0], found.distance_m[0], strict=True
        )
        if score > 0.99
    }
    centres = [(int((x1 + x2) / 2 / stride), int((y1 + y2) / 2 / stride)) for x1, y1, x2, y2 in boxes]
    for index, (label, box) in enumerate(zip(labels, boxes, strict=True)):
        x, y = centres[index]
        others = [c for j, c in enumerate(centres) if j != index]
        if all(max(abs(x - u), abs(y - v)) > 12 for u, v in others):  # nobody competes for its cells
            assert (label, *(float(v) for v in box), float(index + 1)) in predicted


def test_each_object_has_the_same_weight_whatever_its_size() -> None:
    true = make_targets(truth([[0.0, 0, 12, 12], [40.0, 4, 120, 60]]), 3, Grid(H, W))
    assert float(true.objects) == 2
    small, large = true.box_weight[..., :8].sum(), true.box_weight[..., 8:].sum()
    torch.testing.assert_close(small, torch.tensor(1.0))
    torch.testing.assert_close(large, torch.tensor(1.0))


def test_where_two_compete_the_smaller_box_wins() -> None:
    true = make_targets(truth([[0.0, 0, 128, 64], [56.0, 24, 72, 40]]), 3, Grid(H, W))
    assert true.ltrb[0, :, 8, 16].tolist() == [66 - 56, 34 - 24, 72 - 66, 40 - 34]


def test_ignored_objects_are_neither_taught_nor_punished() -> None:
    given_truth = truth([[40.0, 16, 80, 48]], ignored=torch.ones(1, 1, dtype=torch.bool))
    true = make_targets(given_truth, 3, Grid(H, W))
    assert float(true.objects) == 0
    assert float(true.heatmap.max()) == 0
    assert float(true.box_weight.sum()) == 0
    assert float(true.counted[0, 0, 8, 15]) == 0
    assert float(true.counted[0, 0, 1, 1]) == 1


def test_nothing_in_a_region_to_ignore_is_punished_but_what_stands_in_it_is_learned() -> None:
    region, object_in_it = [40.0, 16, 120, 48], [48.0, 20, 56, 28]
    given_truth = truth(
        [region, object_in_it],
        ignored=torch.tensor([[True, False]]),
        regions=torch.tensor([[True, False]]),
    )
    true = make_targets(given_truth, 3, Grid(H, W))
    counted = true.counted[0, 0] > 0
    known = true.heatmap[0].amax(0) >= 0.01
    inside = torch.zeros(H, W, dtype=torch.bool)
    inside[4:12, 10:30] = True
    torch.testing.assert_close(counted, ~inside | known)
    assert counted[6, 13]  # the labelled object's centre
    assert not counted[11, 28]  # far from the region's centre
    assert float(true.box_weight.sum()) == 1


def test_what_is_ignored_is_so_for_its_class_alone_or_for_every_class_where_truth_names_none() -> None:
    small, region = [8.0, 8, 24, 24], [40.0, 16, 120, 48]
    given_truth = truth([small, region], labels=[0, 1], ignored=torch.ones(1, 2, dtype=torch.bool))
    for every in (False, True):
        regions = torch.tensor([[False, True]])
        changed = given_truth._replace(regions=regions, of_every_class=regions & every)
        counted = make_targets(changed, 3, Grid(H, W)).counted[0]
        assert counted[:, 4, 4].tolist() == [0, 1, 1]  # the centre of an object that is too hard
        inside = counted[:, 4:12, 10:30].flatten(1).mean(1).tolist()
        assert inside == ([0, 0, 0] if every else [1, 0, 1])
        assert counted[:, 1, 30].tolist() == [1, 1, 1]


def test_of_a_class_that_is_not_complete_only_the_labelled_places_are_known() -> None:
    complete = torch.tensor([[1.0, 0.0, 1.0]])
    true = make_targets(truth([[40.0, 16, 80, 48]], [1], complete=complete), 3, Grid(H, W))
    assert true.counted[0, :, 1, 30].tolist() == [1, 0, 1]  # an unlabelled one may be there
    assert true.counted[0, :, 8, 15].tolist() == [1, 1, 1]  # this cell is the labelled object's
    assert float(true.box_weight.sum()) == 1.0
    everywhere = torch.full((1, 3, H, W), 4.0)
    predicted = perfect(SMALL, true)._replace(heatmap=everywhere.requires_grad_())
    HeadLosses()(predicted, true)["class"].backward()
    assert everywhere.grad is not None
    learned = everywhere.grad[0].abs() > 0
    assert not learned[1, :, 25:].any()
    assert learned[0, :, 25:].all()
    assert learned[1, 8, 15]


def test_a_class_that_is_complete_in_no_sample_still_learns_from_its_boxes() -> None:
    boxes = [[40.0, 16, 80, 48]]
    whole, part = (
        make_targets(truth(boxes, complete=torch.full((1, 3), value)), 3, Grid(H, W)) for value in (1.0, 0.0)
    )
    for name in ("heatmap", "ltrb", "box_weight", "distance_weight", "objects"):
        assert torch.equal(getattr(whole, name), getattr(part, name)), name
    assert 0 < float(part.counted.sum()) < float(whole.counted.expand(-1, 3, -1, -1).sum())


def test_a_sample_without_known_boxes_teaches_nothing_of_them() -> None:
    unknown = make_targets(truth([[40.0, 16, 80, 48]], boxes_known=torch.zeros(1)), 3, Grid(H, W))
    loud = perfect(SMALL, unknown)._replace(heatmap=torch.full((1, 3, H, W), 5.0))
    losses = HeadLosses()(loud, unknown)
    assert [float(losses[head]) for head in ("class", "box", "distance")] == [0, 0, 0]
    empty = make_targets(truth([], boxes_known=torch.ones(1)), 3, Grid(H, W))
    assert float(HeadLosses()(loud, empty)["class"]) > 1


def test_unknown_channels_and_distances_are_masked() -> None:
    true = make_targets(truth([[40.0, 16, 80, 48]], distance_m=torch.tensor([[torch.nan]])), 3, Grid(H, W))
    wrong = perfect(SMALL, true)._replace(
        distance_log=torch.full((1, 1, H, W), 9.0), control=torch.tensor([[0.5, 100.0]])
    )
    losses = HeadLosses()(wrong, true)
    assert float(losses["distance"]) == 0
    assert float(losses["control"]) == 0


def test_the_focal_loss_is_that_of_the_paper() -> None:
    p, y = torch.tensor([0.3, 0.3, 0.9]), torch.tensor([1.0, 0.6, 0.0])
    expected = [-(0.7**2) * torch.tensor(0.3).log(), -(0.4**4) * 0.3**2 * torch.tensor(0.7).log(),
                -(0.9**2) * torch.tensor(0.1).log()]  # fmt: skip
    torch.testing.assert_close(gaussian_focal(p.logit(), y), torch.stack(expected), rtol=1e-4, atol=1e-6)


def test_giou_of_known_boxes() -> None:
    """The same: 0. Half as wide: IoU 1/2. Disjoint in a hull of the same height: 1 - (0 - 0)."""
    same = torch.tensor([[2.0, 2, 2, 2]])
    assert float(giou_loss(same, same)) == 0
    assert float(giou_loss(torch.tensor([[0.0, 2, 2, 2]]), same)) == 0.5
    cross = giou_loss(torch.tensor([[4.0, 1, 4, 1]]), torch.tensor([[1.0, 4, 1, 4]]))
    torch.testing.assert_close(cross, torch.tensor([[1 - 4 / 28 + (64 - 28) / 64]]))
