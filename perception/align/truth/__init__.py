"""Truth beside the stream: cuboids and boxes to boxes in the image, joined to samples by stamp.

Truth never enters a sample. Metrics and training join it here::

    joiner = TruthJoiner(config.truth, config.sensors)
    for sample, truth in joiner.pairs(align(joiner.watch(messages), config)):
        ...
"""

from perception.align.truth.boxes import MIN_VISIBLE, boxes_of
from perception.align.truth.join import Joined, TruthJoiner, look_ahead_ns
from perception.align.truth.store import TruthStore

__all__ = ["MIN_VISIBLE", "Joined", "TruthJoiner", "TruthStore", "boxes_of", "look_ahead_ns"]
