"""Which device to use, found out without importing torch."""

from __future__ import annotations

from perception.engines.cuda_driver import cuda_devices
from perception.errors import ConfigError

CPU_ONLY = ("openvino", "onnx")
"""Backends that compute nowhere else."""


def resolve_device(wanted: str, backend: str = "auto") -> str:
    """`cpu` or `cuda` for `auto`, `cpu` or `cuda`.

    Args:
        backend: What shall compute: `auto` is where it can.

    Raises:
        ConfigError: It is none of these, or `cuda` was asked for and the driver shows no device.
    """
    if wanted not in ("auto", "cpu", "cuda"):
        raise ConfigError([f"device: expected auto, cpu or cuda, found {wanted!r}"])
    if wanted == "cpu" or (wanted == "auto" and backend in CPU_ONLY):
        return "cpu"
    if cuda_devices() > 0:
        return "cuda"
    if wanted == "cuda":
        raise ConfigError(
            ["device: cuda was asked for, but the NVIDIA driver shows no device; use cpu or auto"]
        )
    return "cpu"
