"""The device to compute on. torch is imported only where an NVIDIA driver is installed."""

from __future__ import annotations

from perception.engines.gpu import cuda_devices
from perception.errors import ConfigError
from perception.types.backends import only_on_cpu


def resolve_device(wanted: str, backend: str = "auto") -> str:
    """Return `cpu` or `cuda` for `auto`, `cpu` or `cuda`.

    Args:
        wanted: `auto` is the GPU where there is one and the backend can use it.
        backend: The name of the backend.

    Raises:
        ConfigError: It is none of these, or `cuda` was asked for and torch finds no device.
    """
    if wanted not in ("auto", "cpu", "cuda"):
        raise ConfigError([f"device: expected auto, cpu or cuda, found {wanted!r}"])
    if wanted == "cpu" or (wanted == "auto" and only_on_cpu(backend)):
        return "cpu"
    if cuda_devices() > 0:
        return "cuda"
    if wanted == "cuda":
        raise ConfigError(["device: cuda was asked for, but torch finds no NVIDIA GPU; use cpu or auto"])
    return "cpu"
