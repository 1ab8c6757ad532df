"""Whether there is a CUDA device. torch is imported only where an NVIDIA driver is installed."""

from __future__ import annotations

import shutil
from pathlib import Path

DRIVER_FILES = ("/proc/driver/nvidia/version", "/dev/nvidiactl", "/dev/dxg")
"""Files that exist where a driver is loaded: on Linux, in a container, and under WSL."""


def driver_is_installed() -> bool:
    """Return whether there is any sign of an NVIDIA driver."""
    return any(Path(path).exists() for path in DRIVER_FILES) or shutil.which("nvidia-smi") is not None


def cuda_devices() -> int:
    """Return how many CUDA devices torch can use; 0 without a driver."""
    if not driver_is_installed():
        return 0
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def compute_capability() -> int:
    """Return the first device's major number: 8 and above have units for bfloat16; 0 without a device."""
    if not cuda_devices():
        return 0
    import torch

    return torch.cuda.get_device_capability(0)[0]
