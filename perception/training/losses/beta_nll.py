"""beta-NLL (Seitzer et al. 2022, "On the Pitfalls of Heteroscedastic Uncertainty Estimation").

A Gaussian likelihood lets a model explain hard samples by a large variance and learn little of their mean.
Here each sample's likelihood is weighed by its own variance to the power beta, without its gradient.
"""

from __future__ import annotations

from torch import Tensor

from perception.training.losses.likelihoods import gaussian_nll


def beta_nll(value: Tensor, log_scale: Tensor, target: Tensor, beta: float = 0.5) -> Tensor:
    """Return the weighted negative log likelihood of each value.

    Args:
        value, target: Any shape.
        log_scale: The logarithm of sigma.
        beta: 0: the plain likelihood; 1: the mean learns as by the squared error.
    """
    weight = (2 * beta * log_scale.detach()).exp()
    return weight * gaussian_nll(value, log_scale, target)
