"""Exported models that the tests of several files look at: each takes long to make, and is made once."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path

import pytest

from perception.models.checkpoint import save_checkpoint
from tests.fusion_scenes import SMALL, lively_model

# pytest listens to loggers that do not propagate; torch writes every graph of an export to this one if heard.
logging.getLogger("torch.__trace").propagate = True

CONFIG = replace(SMALL, steps=2)


@pytest.fixture(scope="session")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a checkpoint, `weights.safetensors`, that all processes of one run of tests share. A
    backend's exports of it belong into a cache named for the backend: the folder's child of that name."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "exports"
    folder.mkdir(exist_ok=True)
    own = folder / f"{os.getpid()}.safetensors"
    save_checkpoint(own, lively_model(CONFIG))
    own.replace(folder / "weights.safetensors")  # the same bytes whoever writes them
    return folder
