"""Backends that run a model, behind one interface. Importing this package imports no torch."""

from perception.engines.arrays import Arrays, ArraySpec
from perception.engines.backend import Backend
from perception.engines.fusion_backend import FusionBackend
from perception.engines.model_source import FusionSource, ModelSource, ModuleSource
from perception.engines.registry import open_backend, open_fusion_backend

__all__ = [
    "ArraySpec",
    "Arrays",
    "Backend",
    "FusionBackend",
    "FusionSource",
    "ModelSource",
    "ModuleSource",
    "open_backend",
    "open_fusion_backend",
]
