"""The package's door is complete, and opening it loads no torch."""

from __future__ import annotations

import subprocess
import sys

import perception.training


def test_every_name_is_there() -> None:
    for name in perception.training.__all__:
        assert getattr(perception.training, name) is not None
    assert dir(perception.training) == perception.training.__all__


def test_the_door_opens_without_torch() -> None:
    code = (
        "import sys, perception.training as t; t.load_train_config('newcomer'); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
