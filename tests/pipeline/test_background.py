"""Work in a thread: its items come one by one, and leaving it early is no error."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from perception.pipeline.background import in_background


def test_items_come_in_order_and_the_error_of_the_work_after_them() -> None:
    def work(give: Callable[[int], None]) -> None:
        give(1)
        give(2)
        raise ValueError("broken")

    items = in_background(work, 1, "test")
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(ValueError, match="broken"):
        next(items)


@pytest.mark.parametrize("error", [None, ValueError("of no interest any more")])
def test_work_that_ends_while_its_caller_leaves_says_nothing(
    error: Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", said.append)
    full = threading.Event()

    def work(give: Callable[[int], None]) -> None:
        give(1)
        give(2)  # fills the queue, so that the end has to wait for the caller
        full.set()
        if error is not None:
            raise error

    items = in_background(work, 1, "test")
    assert next(items) == 1
    assert full.wait(10)
    items.close()  # type: ignore[attr-defined]
    assert said == []
