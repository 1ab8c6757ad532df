"""A folder behind a URL that can be written to: files appear whole, as an object store puts them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from perception.remote.attempts import attempt
from perception.remote.remote_file import TAGS, filesystem
from perception.remote.remote_path import RemotePath

_OBJECT_STORES = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oci", "oss")
"""Their files need no folder, and making one makes a bucket: of a name with a typing error."""


class RemoteFolder:
    """The files below a URL, by their names relative to it.

    Raises:
        OSError: From every method, in one line.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._fs, place = filesystem(self.url)
        self._place = place.rstrip("/")

    def path(self, name: str) -> RemotePath:
        """Return the path of a file."""
        return RemotePath(f"{self.url}/{name}")

    def make(self) -> None:
        """Make the folder where the store has folders; in an object store check that the bucket is there."""

        def make() -> None:
            if self.url.partition(":")[0] not in _OBJECT_STORES:
                self._fs.makedirs(self._place, exist_ok=True)
            elif not self._fs.exists(self._place.partition("/")[0]):
                raise FileNotFoundError(self._place)

        attempt(self.url, make)

    def names(self) -> set[str]:
        """Return the names of all files, in folders of it too."""

        def find() -> list[str]:
            self._fs.invalidate_cache()
            found: list[str] = self._fs.find(self._place)
            return found

        start = len(self._place.lstrip("/")) + 1
        return {place.lstrip("/")[start:] for place in attempt(self.url, find)}

    def info(self, name: str) -> Mapping[str, Any]:
        """Return the `bytes` and the `tag` of a file: what changes when its content does."""

        def ask() -> Mapping[str, Any]:
            self._fs.invalidate_cache()
            info: Mapping[str, Any] = self._fs.info(self._at(name))
            return info

        info = attempt(f"{self.url}/{name}", ask)
        return {"bytes": info.get("size"), "tag": next((str(info[key]) for key in TAGS if info.get(key)), "")}

    def read(self, name: str) -> bytes:
        """Return the bytes of a file."""
        data: bytes = attempt(f"{self.url}/{name}", lambda: self._fs.cat_file(self._at(name)))
        return data

    def read_all(self, names: Sequence[str]) -> dict[str, bytes]:
        """Return the bytes of several files, fetched together; those that cannot be read are left out."""
        if not names:
            return {}
        found = attempt(self.url, lambda: self._fs.cat([self._at(n) for n in names], on_error="omit"))
        by_place = {place.lstrip("/"): data for place, data in found.items()}
        places = {name: self._at(name).lstrip("/") for name in names}
        return {name: by_place[place] for name, place in places.items() if place in by_place}

    def put(self, file: Path, name: str) -> None:
        """Write a local file under a name; a file of that name is replaced."""
        attempt(f"{self.url}/{name}", lambda: self._fs.put_file(str(file), self._at(name)))

    def write(self, data: bytes, name: str) -> None:
        """Write bytes under a name; a file of that name is replaced."""
        attempt(f"{self.url}/{name}", lambda: self._fs.pipe_file(self._at(name), data))

    def remove(self, name: str) -> None:
        """Remove a file."""
        attempt(f"{self.url}/{name}", lambda: self._fs.rm_file(self._at(name)))

    def _at(self, name: str) -> str:
        return f"{self._place}/{name}"


def remote_glob(url: str) -> list[RemotePath]:
    """Return the files that match a pattern, in the order of their names.

    Raises:
        OSError: The store cannot be asked.
    """
    fs, place = filesystem(url)
    fs.invalidate_cache()
    infos = attempt(url, lambda: fs.glob(place, detail=True))
    found = sorted(name for name, info in infos.items() if info.get("type") != "directory")
    end = place.lstrip("/")
    if not url.endswith(end):
        return [RemotePath(fs.unstrip_protocol(name)) for name in found]
    return [RemotePath(url.removesuffix(end) + name.lstrip("/")) for name in found]  # as the user spells it
