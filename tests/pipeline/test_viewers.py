"""A viewer whose package is not installed is named with the command that installs it."""

from __future__ import annotations

import sys

import pytest

from perception.errors import MissingExtraError
from perception.pipeline.viewers import load_viewer


@pytest.mark.parametrize("viewer", ["rerun", "foxglove"])
def test_a_viewer_without_its_package_names_the_extra(viewer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("perception_plugins.viewers")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, viewer, None)  # fails its import
    with pytest.raises(MissingExtraError, match=f"the viewer {viewer} needs the extra '{viewer}'"):
        load_viewer(viewer)
