"""The user's cache: a folder in which another user could have planted a file is not used."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

import pytest

from perception.caches import UntrustedFolderError, cache_root, check_trusted, private_folder
from perception.engines.graph_file_backend import GraphFileBackend
from perception.errors import ConfigError
from perception.training.data.splits import cache_folder
from perception.training.train_config import DataConfig, RunConfig, TrainConfig

root = pytest.mark.skipif(os.geteuid() != 0, reason="needs the rights to give files to another user")
OTHER = 12345


def test_a_new_folder_is_the_users_alone_and_an_existing_one_becomes_so(tmp_path: Path) -> None:
    private_folder(tmp_path / "a" / "b")
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a", "a/b")] == [0o700] * 2
    (tmp_path / "a").chmod(0o775)
    private_folder(tmp_path / "a")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o700


def test_a_folder_that_all_can_write_to_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "shared" / "perception"
    private_folder(place)
    place.chmod(0o777)
    with pytest.raises(UntrustedFolderError) as caught:
        private_folder(place)
    assert "is writable by all users" in str(caught.value)
    assert "XDG_CACHE_HOME" in str(caught.value)
    place.chmod(0o700)
    place.parent.chmod(0o777)  # the folder could be replaced
    with pytest.raises(UntrustedFolderError, match="shared is writable by all users"):
        private_folder(place)
    place.parent.chmod(0o1777)  # as /tmp is
    private_folder(place)


@root
def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "shared" / "perception"
    private_folder(place)
    os.chown(place, OTHER, OTHER)
    with pytest.raises(UntrustedFolderError, match=f"belongs to another user .uid {OTHER}."):
        private_folder(place)
    os.chown(place, 0, 0)
    os.chown(place.parent, OTHER, OTHER)
    with pytest.raises(UntrustedFolderError, match="shared belongs to another user"):
        private_folder(place)
    with pytest.raises(UntrustedFolderError, match="shared belongs to another user"):
        check_trusted(place / "not" / "there")


@root
def test_a_link_of_another_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "mine")
    private_folder(link)
    os.lchown(link, OTHER, OTHER)
    with pytest.raises(UntrustedFolderError, match=r"link .* belongs to another user"):
        private_folder(link)


@pytest.mark.parametrize("mode", [0o777, 0o700])
def test_training_refuses_a_cache_that_is_not_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "perception").mkdir()
    (tmp_path / "perception").chmod(mode)
    own = TrainConfig(data=DataConfig(), run=RunConfig(out=tmp_path / "run"))
    named = own.model_copy(update={"data": DataConfig(cache=tmp_path / "perception")})
    for config in (own, named):
        if mode == 0o777:
            with pytest.raises(ConfigError, match=r"data\.cache: .* is not trusted"):
                cache_folder(config)
        else:
            assert cache_folder(config).is_relative_to(cache_root())


class Writes(GraphFileBackend):
    """A backend whose file is a text."""

    name, package, makers, graph = "writes", "numpy", (), "graph"

    def _write(self, source: object, folder: Path) -> None:
        (folder / "graph").write_text("ours")

    def _load(self, path: Path) -> None: ...
    def _unload(self) -> None: ...
    def _ports(self) -> tuple[list[object], tuple[str, ...]]:  # type: ignore[override]
        return [], ()

    def _compute(self, arrays: object) -> list[object]:  # type: ignore[override]
        return []


class Source:
    digest = weights_sha256 = "ab" * 32


def test_a_planted_export_is_not_run_and_the_user_hears_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    backend = Writes(Source())  # type: ignore[arg-type]
    with backend._made(Source()) as folder:  # type: ignore[arg-type]
        assert folder.is_relative_to(cache_root())
        (folder / "graph").write_text("planted")
    cache_root().chmod(0o777)
    with caplog.at_level(logging.WARNING), backend._made(Source()) as folder:  # type: ignore[arg-type]
        assert not folder.is_relative_to(cache_root())
        assert (folder / "graph").read_text() == "ours"
    assert f"the cache {cache_root()} is not used" in caplog.text


def test_a_cache_that_cannot_be_written_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As in a container whose home is read-only: each start converts the model anew."""
    (tmp_path / "cache").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with Writes(Source())._made(Source()) as folder:  # type: ignore[arg-type]
        assert (folder / "graph").read_text() == "ours"
    text = f"the cache {cache_root() / 'exports'} is not used, the model is converted anew each time: "
    assert text in caplog.text
    assert "; set XDG_CACHE_HOME to a folder" in caplog.text


def test_a_user_without_a_home_has_a_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As the number that a container is started with; torch computed in the place of OpenVINO."""
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda number: {}[number])
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Writes(Source())._made(Source()) as folder:  # type: ignore[arg-type]
        assert folder.is_relative_to(tmp_path / f"perception-cache-{os.getuid()}")
    private_folder(cache_root())
