"""A folder behind a URL that can be written to: files appear whole, as an object store puts them."""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from contextlib import suppress
from glob import has_magic
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
        if self.url.partition(":")[0] not in _OBJECT_STORES:
            attempt(self.url, lambda: self._fs.makedirs(self._place, exist_ok=True))
            return
        bucket = self._place.partition("/")[0]
        if attempt(self.url, lambda: self._fs.exists(bucket)):
            return
        try:  # `exists` does not say whether the server, the credentials or the bucket is missing
            attempt(self.url, lambda: self._fs.info(self._place))
        except FileNotFoundError:
            raise FileNotFoundError(errno.ENOENT, f"there is no bucket {bucket}", self.url) from None

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
        places = {name: self._at(name) for name in names}
        found: dict[str, bytes] = {}
        for name in (name for name, place in places.items() if has_magic(place)):  # a pattern for `cat`
            with suppress(OSError):
                found[name] = self.read(name)
        plain = [place for place in places.values() if not has_magic(place)]
        if plain:
            data = attempt(self.url, lambda: self._fs.cat(plain, on_error="omit"))
            by_place = {place.lstrip("/"): content for place, content in data.items()}
            keys = {name: place.lstrip("/") for name, place in places.items()}
            found |= {name: by_place[key] for name, key in keys.items() if key in by_place}
        return found

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
