"""Conversion of any readable log to an MCAP file with Foxglove's schemas where they say the same."""

from perception.logs.conversion.convert_log import ConvertOptions, convert_log
from perception.logs.conversion.report import Conversion, ConvertedTopic, NotCarried

__all__ = ["Conversion", "ConvertOptions", "ConvertedTopic", "NotCarried", "convert_log"]
