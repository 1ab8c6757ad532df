"""An S3 server on loopback for tests: moto, which keeps objects in memory, with s3fs as its client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def s3_server(monkeypatch: pytest.MonkeyPatch, bucket: str = "logs") -> Iterator[str]:
    """Yield the URL of an empty bucket; this process and those it starts reach the server.

    Skips the test where moto or s3fs are not installed.
    """
    s3fs = pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }.items():
            monkeypatch.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()
        s3fs.S3FileSystem().mkdir(bucket)
        yield f"s3://{bucket}"
    finally:
        s3fs.S3FileSystem.clear_instance_cache()
        server.stop()


def put(url: str, path: Path) -> str:
    """Copy a file or a folder into a bucket; return its URL."""
    import s3fs

    target = f"{url}/{path.name}"
    s3fs.S3FileSystem().put(str(path), target.removeprefix("s3://"), recursive=path.is_dir())
    return target
