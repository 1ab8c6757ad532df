"""From a log to a configuration: sensors are found by schema, and every choice says why."""

from perception.autoconfig.choose import Choice, choose
from perception.autoconfig.complete import Overrides, complete

__all__ = ["Choice", "Overrides", "choose", "complete"]
