"""Negative log likelihoods of a value with a scale, in nats, without their constants; and plain errors."""

from __future__ import annotations

from torch import Tensor


def laplace_nll(value: Tensor, log_scale: Tensor, target: Tensor) -> Tensor:
    """Return the negative log likelihood of a Laplace distribution of scale b, without log 2.

    It is least at `b = |value - target|`.
    """
    return (value - target).abs() * (-log_scale).exp() + log_scale


def gaussian_nll(value: Tensor, log_scale: Tensor, target: Tensor) -> Tensor:
    """Return the negative log likelihood of a normal distribution of standard deviation sigma (Nix and
    Weigend 1994), without log(2 pi) / 2: least at `sigma = |value - target|`."""
    return 0.5 * ((value - target) * (-log_scale).exp()).square() + log_scale


def absolute(value: Tensor, log_scale: Tensor, target: Tensor) -> Tensor:
    """Return the absolute error; the scale is not used."""
    return (value - target).abs()


def squared(value: Tensor, log_scale: Tensor, target: Tensor) -> Tensor:
    """Return the squared error; the scale is not used."""
    return (value - target).square()
