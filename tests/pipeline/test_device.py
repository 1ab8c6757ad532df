from __future__ import annotations

import pytest

from perception.config import parse_config
from perception.errors import ConfigError
from perception.pipeline import context_of, opened_plugin
from perception.pipeline.opened_plugin import resolve_device


@pytest.mark.parametrize("there", [0, 1])
def test_auto_is_the_gpu_where_there_is_one_and_the_backend_can_use_it(
    monkeypatch: pytest.MonkeyPatch, there: int
) -> None:
    monkeypatch.setattr(opened_plugin, "cuda_devices", lambda: there)
    found = "cuda" if there else "cpu"
    assert [resolve_device("auto", name) for name in ("auto", "torch", "graph")] == [found] * 3
    assert [resolve_device("auto", name) for name in ("openvino", "onnx")] == ["cpu"] * 2
    assert resolve_device("cpu") == "cpu"


def test_what_was_asked_for_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opened_plugin, "cuda_devices", lambda: 1)
    assert resolve_device("cuda", "openvino") == "cuda"  # which the backend refuses
    monkeypatch.setattr(opened_plugin, "cuda_devices", lambda: 0)
    with pytest.raises(ConfigError, match="torch finds no NVIDIA GPU"):
        resolve_device("cuda")
    with pytest.raises(ConfigError, match="expected auto, cpu or cuda, found 'gpu'"):
        resolve_device("gpu")


def test_a_context_has_a_device_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    for devices, expected in ((0, "cpu"), (1, "cuda")):
        monkeypatch.setattr(opened_plugin, "cuda_devices", lambda count=devices: count)
        config = parse_config({"sensors": {"camera": {"topic": "/c"}}, "engine": {"backend": "torch"}})
        assert context_of(config).device == context_of(config, "auto").device == expected
    with pytest.raises(ConfigError, match="device: expected auto, cpu or cuda"):
        context_of(config, "gpu")
