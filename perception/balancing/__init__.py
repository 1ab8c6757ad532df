"""How the losses of the heads become one step: fixed weights, or weights that follow the losses."""

from perception.balancing.balancer import Balancer, make_balancer

__all__ = ["Balancer", "make_balancer"]
