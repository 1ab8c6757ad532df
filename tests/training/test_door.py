"""The package's door is complete, and opening it loads no torch."""

from __future__ import annotations

import perception.training
from tests.forked_python import ForkedPython


def test_every_name_is_there() -> None:
    for name in perception.training.__all__:
        assert getattr(perception.training, name) is not None
    assert dir(perception.training) == perception.training.__all__


def test_the_door_opens_without_torch(forked_python: ForkedPython) -> None:
    code = (
        "import sys, perception.training as t; t.load_train_config('newcomer'); print('torch' in sys.modules)"
    )
    assert forked_python.run(program=code).stdout.strip() == "False"
