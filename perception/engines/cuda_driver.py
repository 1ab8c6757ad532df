"""What the NVIDIA driver says of the GPUs, without importing torch."""

from __future__ import annotations

import ctypes

_MAJOR = 75  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR


def cuda_devices() -> int:
    """How many CUDA devices the driver shows; 0 without a driver."""
    driver, count = _driver(), ctypes.c_int(0)
    if driver is None or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


def compute_capability() -> int:
    """The major number of the first device: 8 and above have units for bfloat16; 0 without a device."""
    driver, major = _driver(), ctypes.c_int(0)
    if driver is None or driver.cuDeviceGetAttribute(ctypes.byref(major), _MAJOR, 0) != 0:
        return 0
    return major.value


def _driver() -> ctypes.CDLL | None:
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    return driver if driver.cuInit(0) == 0 else None
