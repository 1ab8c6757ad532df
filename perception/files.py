"""Files: creating them while other programs may create the same, reading regular ones alone, and hashes."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

from perception.errors import OutputError

try:
    import fcntl
except ImportError:  # Windows: two writers of one file do not notice each other
    fcntl = None  # type: ignore[assignment]


def same_file(a: Path, b: Path) -> bool:
    """Return whether two names are of one file; false where one of them does not exist."""
    try:
        return os.path.samefile(a, b)
    except OSError:
        return False


def is_stream(path: Path) -> bool:
    """Return whether the path is a pipe, a socket or a character device, where nothing is replaced."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISCHR(mode) or stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def make_file(path: str | Path) -> FileIO:
    """Open an unbuffered file for writing. An existing file is replaced unless another program writes it.

    The file to which stdout or stderr goes (`/dev/stdout`) is continued, not replaced: the place in it is
    shared. The lock ends when the file is closed, or with the program. Pipes and devices are not locked.

    Raises:
        OSError: The file cannot be opened; `EBUSY` where another program is writing it, `ELOOP` where the
            path is a link that another user made.
    """
    if is_foreign_link(path):
        raise OSError(errno.ELOOP, "it is a link that another user made, remove it", str(path))
    file = FileIO(os.open(path, os.O_WRONLY | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666), "wb")
    try:
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            if (standard := _standard_output(file)) is not None:
                file.close()
                return FileIO(os.dup(standard), "wb")
            _claim(file)
            file.truncate(0)
    except BaseException:
        file.close()
        raise
    return file


def _standard_output(file: FileIO) -> int | None:
    """Return the descriptor of stdout or stderr, if it is of this file."""
    for number in (1, 2):
        try:
            if os.path.samestat(os.fstat(number), os.fstat(file.fileno())):
                return number
        except OSError:  # it is closed
            continue
    return None


def is_being_written(path: Path) -> bool:
    """Return whether another program holds a file that it opened by `make_file`."""
    try:
        with path.open("rb", buffering=0) as file:
            _claim(file)
    except OSError as error:
        return error.errno == errno.EBUSY
    return False


@contextlib.contextmanager
def claimed_folder(folder: Path) -> Iterator[None]:
    """Hold a folder that one program alone writes to; it is free again at the end, or with the program.

    The lock is on a file `.lock` in it, which stays: network file systems carry locks of files to other
    machines where they are open for writing, and none of folders.

    Raises:
        OSError: The file cannot be written; `EBUSY` where another program holds the folder.
    """
    with make_file(folder / ".lock"):
        yield


def is_foreign_link(path: str | Path) -> bool:
    """Return whether a path is a symbolic link that neither this user nor the administrator made."""
    try:
        status = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISLNK(status.st_mode) and hasattr(os, "geteuid") and status.st_uid not in (0, os.geteuid())


def create_file(path: Path) -> None:
    """Create an empty file exclusively; a file or a planted link in its place is removed first.

    Raises:
        OSError: It cannot be created.
    """
    path.unlink(missing_ok=True)
    os.close(os.open(path, _EXCLUSIVE, 0o666))


_EXCLUSIVE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


def _beside(path: Path) -> Path:
    """Return the path of a temporary file beside another, which it is to replace.

    Raises:
        OSError: The other is a pipe or a device, or a link to one in `/dev`, which root could replace.
    """
    folder = os.path.realpath(path.parent)
    if is_stream(path) or folder == "/dev" or Path(folder).is_relative_to("/proc"):
        raise OSError(errno.EINVAL, "no file takes the place of a pipe or a device, name a file", str(path))
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}")


def write_whole(path: Path, data: bytes) -> None:
    """Replace a file atomically: it holds the old bytes or the new ones.

    The temporary file beside it is created exclusively, so that a link planted there is not followed; a link
    in the place of the file is replaced.

    Raises:
        OSError: It cannot be written; the previous file is unchanged.
    """
    part = _beside(path)
    descriptor = os.open(part, _EXCLUSIVE, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(part)
        raise


@contextlib.contextmanager
def replaced_whole(path: Path, noun: str = "log") -> Iterator[Path]:
    """Yield the path of an empty file beside another, which it replaces when the block ends without an error.

    Args:
        path: The file.
        noun: What it is, for errors.

    Raises:
        OutputError: The file cannot be created, or cannot be put in its place.
    """
    try:
        part = _beside(path)
        create_file(part)
    except OSError as error:
        raise OutputError(f"cannot make a {noun} here: {write_problem(path, error)}: {path}") from error
    try:
        yield part
        with open(part, "rb") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        text = f"cannot put the {noun} in its place: {write_problem(path, error)}: {path}"
        raise OutputError(text) from error
    finally:
        with contextlib.suppress(OSError):
            os.unlink(part)


def open_regular(path: str | Path) -> FileIO:
    """Open a regular file for reading, unbuffered. A pipe would block, and a device might never end.

    Raises:
        OSError: It cannot be opened, or is no regular file.
    """
    flags = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
    file = FileIO(os.open(path, flags), "rb")
    kind = os.fstat(file.fileno()).st_mode
    if not stat.S_ISREG(kind):
        file.close()
        if stat.S_ISDIR(kind):
            raise IsADirectoryError(errno.EISDIR, "is a directory", str(path))
        text = "expected a regular file, found a pipe or a device; copy it to a file first"
        raise OSError(errno.EINVAL, text, str(path))
    return file


_GROWTH = 1 << 16
"""Bytes that are read at once behind the size that a file had when it was opened."""


def read_regular(path: str | Path, most: int) -> bytes:
    """Return all bytes of a regular file that holds at most `most`.

    Raises:
        OSError: It cannot be read, is no regular file, or is larger.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            text = f"expected at most {_mib(most)}, found {_mib(size)}"
            raise OSError(errno.EFBIG, text, str(path))
        data = bytearray()
        # A raw file takes a buffer as large as it is asked for: of what is there, not of all that may be.
        while part := file.read(min(max(size - len(data), _GROWTH), most + 1 - len(data))):
            data += part
    return bytes(data)


def _mib(size: int) -> str:
    return f"{size >> 20} MiB" if size >= 1 << 20 else f"{size} bytes"


@contextlib.contextmanager
def turn(path: Path) -> Iterator[None]:
    """Hold a lock between processes: blocks with the same path run one at a time.

    Args:
        path: The lock file; it is created, and stays. On a file system without locks nobody waits.

    Raises:
        OSError: The file cannot be created.
    """
    with open(path, "ab") as file:
        if fcntl is not None:
            with contextlib.suppress(OSError):
                fcntl.flock(file.fileno(), fcntl.LOCK_EX)
        yield


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal; of a folder, over all files in it.

    Raises:
        OSError: The file cannot be read.
    """
    if path.is_dir():
        digest = hashlib.sha256()
        items = (item for item in path.iterdir() if item.is_file() and not item.name.endswith("-shm"))
        for item in sorted(items):  # but the shared memory of SQLite, which reading changes
            digest.update(f"{item.name} {file_sha256(item)}\n".encode())
        return digest.hexdigest()
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _claim(file: FileIO) -> None:
    if fcntl is None:
        return
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OSError(errno.EBUSY, "another program is writing it, name another file") from None
    except OSError:
        return  # a file system without locks


def write_problem(path: Path, error: OSError) -> str:
    """Return why a path cannot be written, and what to do, as the end of an error."""
    if isinstance(error, FileNotFoundError) and not path.parent.exists():
        return f"the folder {path.parent} does not exist, make it first"
    if isinstance(error, FileExistsError):
        return "a file has that name, choose another one"
    if isinstance(error, IsADirectoryError):
        return "it is a folder, name a file"
    if isinstance(error, PermissionError):
        return "no permission to write, choose another place"
    if isinstance(error, NotADirectoryError):
        return f"{path.parent} is a file, not a folder"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk at {_disk(path)} is full ({(error.strerror or '').lower()}), free some space there"
    return (error.strerror or str(error)).lower()


def _disk(path: Path) -> Path:
    """Return where the file system of a path is mounted."""
    place = Path(os.path.realpath(path))
    while not os.path.ismount(place) and place != place.parent:
        place = place.parent
    return place
