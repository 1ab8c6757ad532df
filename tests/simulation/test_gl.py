"""OpenGL contexts without a window."""

from __future__ import annotations

import subprocess
import sys

import pytest

from perception.errors import PerceptionError

pytestmark = [pytest.mark.sim, pytest.mark.usefixtures("drawing")]


def test_a_context_that_cannot_be_made_names_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    from perception.simulation.gl import gl_context

    monkeypatch.setenv("MUJOCO_GL", "none")
    with pytest.raises(PerceptionError, match=r"\(MUJOCO_GL=none\).*apt-get install libegl1"):
        gl_context(8, 8)


@pytest.mark.slow  # a worker that runs tests of training after these crashes without it
def test_training_after_rendering_in_one_process_does_not_crash() -> None:
    pytest.importorskip("triton")
    code = (
        "from perception.simulation.gl import gl_context\n"
        "gl_context(64, 64).free()\n"
        "import torch._dynamo\n"  # as an export does
        "print('alive')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr
