"""Negative log likelihoods of a value with a scale, in nats, without their constants; and plain errors."""

from __future__ import annotations

from torch import Tensor


def laplace_nll(value: Tensor, log_scale: Tensor, target: Tensor) -> Tensor:
    """Of a Laplace distribution of scale b, without its constant log 2: least at `b = |value - target|`."""
    return (value - target).abs() * (-log_scale).exp() + log_scale


def gaussian_nll(value: Tensor, log_scale: Tensor, target: Tensor) -> Tensor:
    """Of a normal distribution of standard deviation sigma (Nix and Weigend 1994), without its constant
    log(2 pi) / 2: least at `sigma = |value - target|`."""
    return 0.5 * ((value - target) * (-log_scale).exp()).square() + log_scale


def absolute(value: Tensor, log_scale: Tensor, target: Tensor) -> Tensor:
    """The absolute error; the scale is not looked at."""
    return (value - target).abs()


def squared(value: Tensor, log_scale: Tensor, target: Tensor) -> Tensor:
    """The squared error; the scale is not looked at."""
    return (value - target).square()
