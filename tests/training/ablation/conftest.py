"""The small logs and configurations of the tests of training."""

from tests.training.conftest import cache_root, cached, recipe, street

__all__ = ["cache_root", "cached", "recipe", "street"]
