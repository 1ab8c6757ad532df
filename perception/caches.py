"""The user's cache folder, whether a folder can be trusted (nobody else may put files into it), and what
was computed by which code."""

from __future__ import annotations

import functools
import hashlib
import os
import stat
import tempfile
from pathlib import Path


class UntrustedFolderError(OSError):
    """A folder that another user could have written to. The text says what to do."""


def cache_root() -> Path:
    """Return the project's folder in the user's cache (`XDG_CACHE_HOME`, else `~/.cache`); of a user without
    a home, as the number of one in a container is, a folder of that number among the temporary files."""
    base = os.environ.get("XDG_CACHE_HOME") or ""
    if os.path.isabs(base):  # a relative one is invalid
        return Path(base) / "perception"
    try:
        return Path.home() / ".cache" / "perception"
    except RuntimeError:
        return Path(tempfile.gettempdir()) / f"perception-cache-{os.getuid()}"


def private_folder(path: Path) -> None:
    """Make a folder that this user alone can read and write, with those above it; check an existing one.

    Raises:
        UntrustedFolderError: It is not trusted; see `check_trusted`.
        OSError: It cannot be made.
    """
    check_trusted(path)
    for folder in reversed((path, *path.parents)):
        if not folder.exists():
            folder.mkdir(mode=0o700, exist_ok=True)
    check_trusted(path)  # again: another user may have been faster
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        path.chmod(0o700)


def check_trusted(path: Path) -> None:
    """Check that only this user and the administrator can put or replace files in a folder.

    The folder must belong to this user and not be writable by all. A folder above it must belong to this
    user or the administrator, and may be writable by all only with the sticky bit, as `/tmp` is. A folder
    that does not exist is trusted where one may be made.

    Raises:
        UntrustedFolderError: It is not so.
    """
    if not hasattr(os, "geteuid"):
        return
    user = os.geteuid()
    administrators = {0, os.stat("/").st_uid}  # another number within a container
    for link in (path, *path.parents):
        if link.is_symlink() and link.lstat().st_uid not in {user, *administrators}:
            raise _untrusted(path, f"the link {link} belongs to another user (uid {link.lstat().st_uid})")
    resolved = path.resolve()
    for folder in (resolved, *resolved.parents):
        if not folder.exists():
            continue
        status = folder.stat()
        own = {user} if folder == resolved else {user, *administrators}
        if status.st_uid not in own:
            raise _untrusted(path, f"{folder} belongs to another user (uid {status.st_uid})")
        sticky = folder != resolved and status.st_mode & stat.S_ISVTX
        if status.st_mode & stat.S_IWOTH and not sticky:
            raise _untrusted(path, f"{folder} is writable by all users")


def _untrusted(path: Path, reason: str) -> UntrustedFolderError:
    text = f"{reason}, who could have planted files; remove it, or set XDG_CACHE_HOME to a folder of your own"
    return UntrustedFolderError(None, text, str(path))


@functools.cache
def sources_sha256(root: Path, patterns: tuple[str, ...]) -> str:
    """Return a SHA-256 over the names and contents of source files, in hexadecimal.

    Args:
        root: The folder that names are relative to.
        patterns: Which files below it, as `Path.glob` takes them (`models/*.py`, `logs/**/*.py`).
    """
    digest = hashlib.sha256()
    for path in sorted({path for pattern in patterns for path in root.glob(pattern)}):
        data = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()} {len(data)}\n".encode() + data)
    return digest.hexdigest()
