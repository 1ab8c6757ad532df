"""The rate at which a loss falls, for methods that compare heads."""

from __future__ import annotations

import math

_LEAST = 1e-6
_MOST = 50.0


def inverse_rate(loss: float, before: float, signed: bool) -> float:
    """Return the remaining part of a loss: `loss / before`. Above 0; the less, the faster the head learns.

    A deviation, without which the papers' ratio has no meaning here: the negative logarithm of a likelihood
    may fall below 0. Of such losses (`signed`) the exponentials are compared, which are the reciprocals of
    the likelihoods: `exp(loss - before)`. Where the scales fit, that is by how much the errors shrank.
    """
    if signed:
        return math.exp(min(loss - before, _MOST))
    return max(loss, _LEAST) / max(before, _LEAST)
