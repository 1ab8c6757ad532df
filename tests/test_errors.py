from __future__ import annotations

import copy
import pickle

import pytest

from perception.errors import ConfigError, LogError, MissingExtraError, NoPluginError, PerceptionError


@pytest.mark.parametrize(
    "error",
    [
        LogError("no such file"),
        NoPluginError("no plugin of that name"),
        MissingExtraError("the backend onnx", "export"),
        ConfigError(["a: wrong", "b: wrong"], source="c.yaml", paste="version: 1", head="two faults in"),
    ],
)
def test_an_error_comes_out_of_another_process_as_it_was(error: PerceptionError) -> None:
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert vars(again) == vars(error)
