"""What each head is taught by: one loss for each, and the dense targets they need."""

from perception.losses.head_losses import HeadLosses
from perception.losses.targets import Targets, Truth, make_targets

__all__ = ["HeadLosses", "Targets", "Truth", "make_targets"]
