"""OpenGL contexts without a window."""

from __future__ import annotations

import pytest

from perception.errors import PerceptionError

pytestmark = [pytest.mark.sim, pytest.mark.usefixtures("drawing")]


def test_a_context_that_cannot_be_made_names_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    from perception.simulation.gl import gl_context

    monkeypatch.setenv("MUJOCO_GL", "none")
    with pytest.raises(PerceptionError, match=r"\(MUJOCO_GL=none\).*apt-get install libegl1"):
        gl_context(8, 8)
