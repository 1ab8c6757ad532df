"""Files behind URLs of `fsspec` (`https://`, `s3://`, `memory://`): read in ranges, or fetched whole."""

from perception.remote.remote_path import RemotePath, is_remote, log_path, shown_place

__all__ = ["RemotePath", "is_remote", "log_path", "shown_place"]
