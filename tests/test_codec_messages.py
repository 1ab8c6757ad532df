"""What image libraries print of damaged pictures does not reach the terminal; all else does."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.forked_python import ForkedPython

DECODE = """
import os, sys
import cv2, numpy as np
if sys.argv[1] == "quiet":
    from perception.codec_messages import silence_codecs
    silence_codecs()
cv2.imdecode(np.fromfile(sys.argv[2], np.uint8), cv2.IMREAD_COLOR)
print("of Python", file=sys.stderr)
sys.stderr.flush()
os.system("echo of a child >&2")
"""


def damaged(path: Path, suffix: str) -> Path:
    pixels = np.random.default_rng(0).integers(0, 255, (200, 300, 3), np.uint8)
    data = bytearray(cv2.imencode(suffix, pixels)[1].tobytes())
    data[len(data) // 2 : len(data) // 2 + 400] = b"\x55" * 400
    data[3 * len(data) // 4 : 3 * len(data) // 4 + 2] = b"\xff\xd3"
    path.write_bytes(data)
    return path


@pytest.mark.skipif(sys.platform != "linux", reason="the name of C's stderr is that of glibc and musl")
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_only_the_codec_is_silenced(tmp_path: Path, suffix: str, forked_python: ForkedPython) -> None:
    picture = damaged(tmp_path / f"a{suffix}", suffix)
    texts = {}
    for mode in ("loud", "quiet"):
        texts[mode] = forked_python.run(mode, picture, program=DECODE).stderr
    assert texts["quiet"].split("\n") == ["of Python", "of a child", ""]
    assert len(texts["loud"]) > len(texts["quiet"]), "the picture is damaged enough to be printed about"
