"""The branches against plain references: the splat with loops, the recurrent unit of torch."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from perception.models.camera_encoder import CameraEncoder
from perception.models.range_encoder import EPS, RangeEncoder
from perception.models.status_encoder import StatusEncoder
from tests.fusion_scenes import SMALL, scene


def test_the_splat_is_a_weighted_mean_of_the_returns_near_a_cell() -> None:
    encoder = RangeEncoder(SMALL)
    inputs = scene(SMALL, batch=1, seed=2)
    z = torch.randn(1, SMALL.returns, 3, generator=torch.Generator().manual_seed(0))
    weight = inputs.returns_valid * inputs.returns[..., 7]
    u, v = inputs.returns[..., 0], inputs.returns[..., 1]
    for stride, (h, w) in zip((4, 8, 16), encoder.sizes, strict=True):
        found = encoder._splat(z, u, v, weight, stride, (h, w))[0].numpy()
        expected = np.zeros((4, h, w))
        for i in range(h):
            for j in range(w):
                total, near = 0.0, np.zeros(3)
                for m in range(SMALL.returns):
                    dy = abs(float(v[0, m]) / stride - (i + 0.5)) / SMALL.splat_radius
                    dx = abs(float(u[0, m]) / stride - (j + 0.5)) / SMALL.splat_radius
                    k = max(0.0, 1 - dy) * max(0.0, 1 - dx) * float(weight[0, m])
                    total, near = total + k, near + k * z[0, m].numpy()
                expected[:3, i, j], expected[3, i, j] = near / (total + EPS), total / (total + 1)
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_a_return_lands_on_its_cell() -> None:
    encoder = RangeEncoder(SMALL)
    u, v = torch.tensor([[70.0]]), torch.tensor([[38.0]])
    for stride, size in zip((4, 8, 16), encoder.sizes, strict=True):
        hits = encoder._splat(torch.ones(1, 1, 2), u, v, torch.ones(1, 1), stride, size)[0, -1]
        assert divmod(int(hits.argmax()), size[1]) == (38 // stride, 70 // stride)


def test_the_status_memory_is_a_gated_recurrent_unit() -> None:
    encoder = StatusEncoder(SMALL)
    expected = nn.GRU(2 * len(SMALL.status), SMALL.status_width, batch_first=True)
    with torch.no_grad():
        expected.weight_ih_l0.copy_(encoder.from_input.weight)
        expected.bias_ih_l0.copy_(encoder.from_input.bias)
        expected.weight_hh_l0.copy_(encoder.from_memory.weight)
        expected.bias_hh_l0.copy_(encoder.from_memory.bias)
        values, known = torch.randn(3, SMALL.steps, 2), torch.ones(3, SMALL.steps, 2)
        found = encoder(values, known).pooled.flatten(1)
        torch.testing.assert_close(found, expected(torch.cat([values, known], -1))[1][0])


def test_maps_have_the_sizes_of_their_strides() -> None:
    with torch.no_grad():
        pyramid = CameraEncoder(SMALL).eval()(torch.zeros(2, 3, 64, 128))
    assert [tuple(m.shape) for m in pyramid] == [(2, 8, 16, 32), (2, 16, 8, 16), (2, 16, 4, 8), (2, 16, 1, 1)]
