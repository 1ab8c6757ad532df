"""Requests to a server, made again where another attempt may succeed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from perception.remote.remote_errors import access_error, is_lasting

_WAITS_S = (0.2, 0.8, 2.0)  # before each further attempt

T = TypeVar("T")


def attempt(url: str, request: Callable[[], T], on_attempt: Callable[[], None] = lambda: None) -> T:
    """Return the answer to a request; one that may succeed later is made again.

    Args:
        url: What the request is about, for errors.
        request: Makes the request.
        on_attempt: Called before each attempt.

    Raises:
        OSError: It fails; one line. OverflowError and ValueError pass unchanged.
    """
    for wait_s in (*_WAITS_S, None):
        on_attempt()
        try:
            return request()
        except (OverflowError, ValueError):
            raise
        except Exception as error:
            if wait_s is None or is_lasting(error):
                raise access_error(url, error) from error
            time.sleep(wait_s)
    raise AssertionError
