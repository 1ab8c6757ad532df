"""Secrets in URLs, which are hidden wherever a URL is written: the password before the host, and the
signature of a link that lets whoever has it read the file."""

from __future__ import annotations

import re

HIDDEN = "***"
_PASSWORD = re.compile(r"\b([a-z][a-z0-9+.-]*://[^/@:\s]*):[^/@\s]*@", re.IGNORECASE)
_SECRET = re.compile(
    r"([?&#;][^=&#;\s]*(?:sig|token|cred|secret|passw|pwd|key|auth|policy)[^=&#;\s]*=)[^&#;\s'\"]*",
    re.IGNORECASE,
)
"""Parameters of signed links: `X-Amz-Signature` and `X-Amz-Credential` of S3, `X-Goog-Signature`, `sig` of
Azure, `Key-Pair-Id` and `Policy` of CloudFront, `access_token`, `api_key`."""


def without_secrets(text: str) -> str:
    """Return a URL, or a text with URLs, as it may be shown to others: `***` for the password and for the
    values of secret parameters.

    What tells one file from another stays (`?id=7`).
    """
    return _SECRET.sub(rf"\1{HIDDEN}", _PASSWORD.sub(rf"\1:{HIDDEN}@", text))
