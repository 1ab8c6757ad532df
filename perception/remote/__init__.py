"""Files behind URLs of `fsspec` (`https://`, `s3://`, `memory://`): read in ranges, or fetched whole."""

from perception.remote.remote_path import RemotePath, begin_to_open, is_remote, log_path, shown_place
from perception.remote.url_secrets import without_secrets

__all__ = ["RemotePath", "begin_to_open", "is_remote", "log_path", "shown_place", "without_secrets"]
