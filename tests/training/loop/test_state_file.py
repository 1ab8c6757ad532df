"""The state of a run comes back bit by bit, is no pickle, and is replaced whole or not at all."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from perception.errors import TrainingError
from perception.models.weights import CODES
from perception.training.loop.state_file import load_state, save_state


def test_nested_tensors_numbers_and_texts_come_back(tmp_path: Path) -> None:
    state = {
        "step": 7,
        "best": -math.inf,
        "flags": (True, None, "a", 0.1),
        "optimiser": {0: {"m": torch.randn(3, 4)}, 5: {"step": torch.tensor(3.0)}},
        "long": torch.tensor([2**40]),
        "bytes": torch.arange(5, dtype=torch.uint8),
        "others": [torch.tensor(0.3, dtype=kind) for kind in CODES],
        "list": [[], {}, [torch.zeros(0)]],
    }
    path = tmp_path / "state.safetensors"
    save_state(path, state)
    found = load_state(path)
    assert found.keys() == state.keys()
    assert found["flags"] == state["flags"]
    assert found["best"] == -math.inf
    assert found["optimiser"].keys() == {0, 5}
    assert torch.equal(found["optimiser"][0]["m"], state["optimiser"][0]["m"])  # type: ignore[index]
    assert torch.equal(found["long"], state["long"])  # type: ignore[arg-type]
    assert torch.equal(found["bytes"], state["bytes"])  # type: ignore[arg-type]
    for one, other in zip(found["others"], state["others"], strict=True):  # type: ignore[call-overload]
        assert one.dtype == other.dtype
        assert torch.equal(one, other)
    assert found["list"][0] == []
    assert found["list"][2][0].shape == (0,)
    assert b"pickle" not in path.read_bytes()


def test_channels_last_tensors_keep_their_values(tmp_path: Path) -> None:
    weight = torch.randn(4, 3, 2, 2).to(memory_format=torch.channels_last)
    save_state(tmp_path / "s", {"w": weight})
    assert torch.equal(load_state(tmp_path / "s")["w"], weight)


def test_a_full_disk_leaves_the_state_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state.safetensors"
    save_state(path, {"step": 1})

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(TrainingError, match=r"is full \(no space left"):
        save_state(path, {"step": 2})
    assert load_state(path) == {"step": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["state.safetensors"]


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x80\x04\x95pickle" * 9])
def test_what_is_no_state_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "s").write_bytes(content)
    with pytest.raises(TrainingError) as caught:
        load_state(tmp_path / "s")
    assert "\n" not in str(caught.value)
