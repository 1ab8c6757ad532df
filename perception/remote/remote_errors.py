"""Errors of fsspec and its packages as OSErrors of one line that say what to do."""

from __future__ import annotations

import errno

from perception.installation import pip_install

PACKAGES = {
    "s3": "s3fs",
    "s3a": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "http": "aiohttp",
    "https": "aiohttp",
    "az": "adlfs",
    "abfs": "adlfs",
    "abfss": "adlfs",
    "sftp": "paramiko",
    "ssh": "paramiko",
    "smb": "smbprotocol",
    "hf": "huggingface_hub",
    "oci": "ocifs",
    "oss": "ossfs",
}
"""Protocol -> the package on PyPI that fsspec reads it with."""

_NO_BUCKET = "NoSuchBucket"  # S3's code, of an error that its client has no class for
_DENIED = (401, 403)
_LASTING = (400, 404, 405, 410, 416)  # statuses of HTTP that another attempt does not change


def protocol_error(url: str, error: Exception) -> OSError:
    """Return the error of a URL whose protocol cannot be used here."""
    protocol = url.partition(":")[0]
    package = PACKAGES.get(protocol)
    if isinstance(error, ImportError):
        cure = pip_install(package) if package else " ".join(str(error).split())[:200]
        return OSError(
            errno.ENOPKG, f"reading {protocol}:// needs a package that is not installed: {cure}", url
        )
    text = f"the protocol {protocol}:// is not known; download the file first"
    return OSError(errno.EPROTONOSUPPORT, text, url)


def access_error(url: str, error: BaseException) -> OSError:
    """Return the error for a request that failed."""
    status = _status(error)
    text = " ".join(str(error).split())[:160] or type(error).__name__
    if status in _DENIED or isinstance(error, PermissionError) or "credential" in text.lower():
        found = f"HTTP {status}" if status else text
        return PermissionError(
            errno.EACCES, f"no permission ({found}); check the credentials or the link", url
        )
    if _has_no_bucket(error):
        return FileNotFoundError(errno.ENOENT, "there is no such bucket", url)
    if status in (404, 410) or (isinstance(error, FileNotFoundError) and error.__cause__ is None):
        return FileNotFoundError(errno.ENOENT, "no such file", url)
    if status is not None:
        return OSError(errno.EIO, f"the server answers with HTTP {status}", url)
    cause = error.__cause__ if isinstance(error, FileNotFoundError) and error.__cause__ else error
    text = " ".join(str(cause).split())[:160] or type(cause).__name__
    return ConnectionError(errno.ECONNABORTED, f"the connection failed ({text})", url)


def is_lasting(error: BaseException) -> bool:
    """Return whether another attempt would fail alike."""
    status = _status(error)
    if status is not None:
        return status in _DENIED or status in _LASTING
    if isinstance(error, FileNotFoundError):
        return error.__cause__ is None
    if _has_no_bucket(error):
        return True
    return isinstance(error, PermissionError | ImportError | NotImplementedError | IsADirectoryError)


def _has_no_bucket(error: BaseException) -> bool:
    return any(_NO_BUCKET in str(one) for one in (error, error.__cause__))


def _status(error: BaseException | None) -> int | None:
    """Return the HTTP status that an error carries, or that caused it."""
    while error is not None:
        status = getattr(error, "status", None)
        if isinstance(status, int) and 100 <= status < 600:
            return status
        error = error.__cause__
    return None
