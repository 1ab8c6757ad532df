"""The fourth head is registered for the tests of this folder alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from perception.types import heads, register_head
from tests.types.speed_limit import SPEED_LIMIT


@pytest.fixture(scope="package", autouse=True)
def _fourth_head() -> Iterator[None]:
    register_head(SPEED_LIMIT)
    yield
    del heads._registered[SPEED_LIMIT.name]
