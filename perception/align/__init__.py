"""Messages in arrival order -> samples. The same object serves replay and a live robot."""

from perception.align.aligner import Aligner
from perception.align.stream import ClockReading, align, feed, with_clock

__all__ = ["Aligner", "ClockReading", "align", "feed", "with_clock"]
