"""From a log to a configuration: sensors are found by schema, and every choice says why."""

from perception.autoconfig.choose import Choice, choose

__all__ = ["Choice", "choose"]
