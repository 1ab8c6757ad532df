"""Frames prepared for scoring: arrays of their detections and of their truth, matched once."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from perception.evaluation.metrics.base import Rules
from perception.evaluation.metrics.frame_columns import ANY_CLASS, STATES, FrameColumns, State, columns_of
from perception.evaluation.metrics.matching import THRESHOLDS, Pairs, match_pairs, outside_size
from perception.geometry.boxes import areas, pair_overlap
from perception.types import Float64, Output, TruthFrame

Places = NDArray[np.intp]

_MOST_PAIRS = 1 << 19
"""Overlaps that are computed at a time: some 30 MB."""


class ScoredFrames:
    """Outputs and truth of frames under the rules. What is said of a frame does not depend on the others.

    Detections are sorted by frame and by falling score; those of equal score keep their order. Attributes (F
    frames, D detections, G truth boxes): `frame` [D], `score` [D], `label` [D], `box` [D, 4], `box_std`
    [D, 4], `distance` [D], `distance_std` [D], `position` [D, 3] and `position_cov` [D, 3, 3] in the frame of
    the output's positions, `truth_frame` [G], `truth_label` [G], `truth_box` [G, 4], `truth_distance` [G],
    `truth_visible` [G], `truth_centre` [G, 3] as seen from the picture, `ignored` [G]: truth that is an
    ignore region; `item` [D] and `truth_item` [G]: the places in the output and in truth; `placement`
    [F, 4, 4] or None, as in `FrameColumns`. Labels are places in `names`; unknown values are NaN. A
    detection whose box is not a number, or is turned inside out, stays, and matches nothing; one whose score
    is not a number counts as score 0. Truth that is not a number is left out. The label of a region for every
    class is `ANY_CLASS`. Frames that are not scored have neither detections nor truth here.
    """

    def __init__(self, columns: FrameColumns, rules: Rules) -> None:
        self.columns = columns
        self.rules = rules
        self.stamp_ns = columns.stamp_ns
        self.states = columns.state
        self.names = columns.names
        self.placement = columns.placement

    def __len__(self) -> int:
        """Return F, the number of frames."""
        return len(self.states)

    @cached_property
    def any_scored(self) -> bool:
        """Return whether any frame is scored."""
        return not self.states.all()  # place 0 of `STATES`

    @cached_property
    def _predicted(self) -> tuple[Places, Float64, int]:
        """Return rows of the columns [D], score and box [D, 5], and the number of malformed detections."""
        given = self.columns.detections
        table = np.column_stack((given.score, given.box))
        box = table[:, 1:]
        good_box = np.isfinite(box).all(axis=1) & (box[:, 0] <= box[:, 2]) & (box[:, 1] <= box[:, 3])
        good_score = np.isfinite(table[:, 0])
        malformed = int(np.count_nonzero(~(good_box & good_score)))
        if malformed:
            box[~good_box] = np.nan
            table[~good_score, 0] = 0.0
        order = np.lexsort((-table[:, 0], given.frame))
        if len(order) > self.rules.max_detections:
            order = order[self._of_the_highest(order)]
        return order, table[order], malformed

    def _of_the_highest(self, order: Places) -> NDArray[np.bool_]:
        """Return which sorted detections are among the first `max_detections` of their class and frame."""
        given = self.columns.detections
        group = (given.frame * len(self.names) + given.label)[order]
        by_group = np.argsort(group, kind="stable")
        begins = np.flatnonzero(np.diff(group[by_group], prepend=-1))
        sizes = np.diff(np.append(begins, len(group)))
        place = np.empty(len(group), np.intp)
        place[by_group] = np.arange(len(group)) - np.repeat(begins, sizes)
        kept: NDArray[np.bool_] = place < self.rules.max_detections
        return kept

    @cached_property
    def _details(self) -> Float64:
        """Return deviations, distance, its deviation, position and covariance, [D, 18]."""
        return self.columns.detections.details(self._predicted[0])

    @cached_property
    def _good_truth(self) -> Places:
        """Return the rows of truth boxes that are numbers, [G]."""
        table = self.columns.truth.table
        sides_in_order = (table[:, 0] <= table[:, 2]) & (table[:, 1] <= table[:, 3])
        return np.flatnonzero(np.isfinite(table[:, :4]).all(axis=1) & sides_in_order)

    @cached_property
    def _true(self) -> Float64:
        return self.columns.truth.table[self._good_truth]

    @cached_property
    def frame(self) -> Places:
        return self.columns.detections.frame[self._predicted[0]]

    @cached_property
    def label(self) -> Places:
        return self.columns.detections.label[self._predicted[0]]

    @cached_property
    def item(self) -> Places:
        return self.columns.detections.item[self._predicted[0]]

    @cached_property
    def truth_frame(self) -> Places:
        return self.columns.truth.frame[self._good_truth]

    @cached_property
    def truth_label(self) -> Places:
        return self.columns.truth.label[self._good_truth]

    @cached_property
    def truth_item(self) -> Places:
        return self.columns.truth.item[self._good_truth]

    @property
    def score(self) -> Float64:
        return self._predicted[1][:, 0]

    @property
    def box(self) -> Float64:
        return self._predicted[1][:, 1:]

    @property
    def box_std(self) -> Float64:
        return self._details[:, :4]

    @property
    def distance(self) -> Float64:
        return self._details[:, 4]

    @property
    def distance_std(self) -> Float64:
        return self._details[:, 5]

    @property
    def position(self) -> Float64:
        return self._details[:, 6:9]

    @property
    def position_cov(self) -> Float64:
        return self._details[:, 9:].reshape(-1, 3, 3)

    @property
    def truth_box(self) -> Float64:
        return self._true[:, :4]

    @property
    def truth_distance(self) -> Float64:
        return self._true[:, 4]

    @property
    def truth_visible(self) -> Float64:
        return self._true[:, 5]

    @property
    def truth_centre(self) -> Float64:
        return self._true[:, 6:9]

    @property
    def malformed(self) -> tuple[int, int]:
        """Return the number of detections and of truth boxes with values that are not numbers."""
        return self._predicted[2], len(self.columns.truth.frame) - len(self._good_truth)

    @cached_property
    def ignored(self) -> NDArray[np.bool_]:
        box = self.truth_box
        low = box[:, 3] - box[:, 1] < self.rules.min_height_px
        hidden = self.truth_visible < self.rules.min_visible
        ignored: NDArray[np.bool_] = low | hidden | (self._true[:, 9] > 0)
        return ignored

    @cached_property
    def low(self) -> NDArray[np.bool_]:
        """Return which detections are lower than the minimum height of truth, [D]."""
        low: NDArray[np.bool_] = self.box[:, 3] - self.box[:, 1] < self.rules.min_height_px
        return low

    def overlap(self, detection: Places, truth: Places) -> Float64:
        """Return the overlap of detections with truth boxes, [P], both [P]."""
        return pair_overlap(self.box[detection], self.truth_box[truth], self.ignored[truth])

    @cached_property
    def pairs(self) -> Pairs:
        """Return the detections and truth boxes of a frame that overlap by half or more, of any classes."""
        truths = np.bincount(self.truth_frame, minlength=len(self))
        each = truths[self.frame]  # how many truth boxes each detection meets
        first = (np.cumsum(truths) - truths)[self.frame]
        group = np.cumsum(each) // _MOST_PAIRS
        parts = [
            self._pairs(rows, each[rows], first[rows])
            for rows in np.split(np.arange(len(each)), np.flatnonzero(np.diff(group)) + 1)
        ]
        return Pairs(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))

    def _pairs(self, rows: Places, each: Places, first: Places) -> Pairs:
        """Return the pairs of some detections, which meet so many truth boxes, from this one on; all [D]."""
        detection = np.repeat(rows, each)
        within = np.arange(len(detection)) - np.repeat(np.cumsum(each) - each, each)
        truth = np.repeat(first, each) + within
        overlap = self.overlap(detection, truth)
        kept = overlap >= THRESHOLDS[0]
        return Pairs(detection[kept], truth[kept], overlap[kept])

    @cached_property
    def _pairs_of_class(self) -> Pairs:
        label, truth_label = self.label[self.pairs.detection], self.truth_label[self.pairs.truth]
        kept = (label == truth_label) | (truth_label == ANY_CLASS)
        return Pairs(*(column[kept] for column in self.pairs))

    @cached_property
    def truth_outside(self) -> NDArray[np.bool_]:
        """Return which truth does not count in each size range, [A, G]."""
        return outside_size(areas(self.truth_box)) | self.ignored

    @cached_property
    def matches(self) -> Places:
        """Return the truth of its class for each detection, or -1, at every size and overlap, [A, T, D]."""
        return match_pairs(self._pairs_of_class, self.frame, THRESHOLDS, self.truth_outside, self.ignored)

    def matches_once(self) -> Places:
        """Return `matches50` alone, which takes a tenth of the time of all of `matches`, [D]."""
        return self._match_at_half(self._pairs_of_class)

    @cached_property
    def outcomes(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return `hit` and `dropped`, both [A, T, D]; a detection that is neither is a false alarm.

        Dropped are detections that took ignored truth, and those that took none and are themselves outside
        the size range or below the least height: they can be neither right nor wrong.
        """
        matches = self.matches
        took = matches >= 0
        if len(self.truth_label):
            size = np.arange(len(matches))[:, None, None]
            ignored = self.truth_outside[size, matches] & took
        else:
            ignored = np.zeros_like(took)
        uncounted = (outside_size(areas(self.box)) | self.low)[:, None, :]
        return took & ~ignored, ignored | (~took & uncounted)

    @property
    def matches50(self) -> Places:
        """Return the matches at overlap 0.5 over all sizes, [D]."""
        matches: Places = self.matches[0, 0]
        return matches

    @cached_property
    def overlap50(self) -> Float64:
        """Return the overlap of each detection with its match at overlap 0.5, [D]; NaN without one."""
        overlaps = np.full(len(self.frame), np.nan)
        matched = np.flatnonzero(self.matches50 >= 0)
        overlaps[matched] = self.overlap(matched, self.matches50[matched])
        return overlaps

    @property
    def hit50(self) -> NDArray[np.bool_]:
        hit: NDArray[np.bool_] = self.outcomes[0][0, 0]
        return hit

    @property
    def dropped50(self) -> NDArray[np.bool_]:
        dropped: NDArray[np.bool_] = self.outcomes[1][0, 0]
        return dropped

    @cached_property
    def matches_any_class(self) -> Places:
        """Return the truth of any class matched with each detection at overlap 0.5, or -1, [D].

        A region to ignore for one class takes detections of that class alone.
        """
        label, truth_label = self.label[self.pairs.detection], self.truth_label[self.pairs.truth]
        region = self._true[self.pairs.truth, 9] > 0
        kept = ~region | (label == truth_label) | (truth_label == ANY_CLASS)
        return self._match_at_half(Pairs(*(column[kept] for column in self.pairs)))

    def _match_at_half(self, pairs: Pairs) -> Places:
        taken = match_pairs(pairs, self.frame, THRESHOLDS[:1], self.ignored[None], self.ignored)
        matches: Places = taken[0, 0]
        return matches


class ScoredFrame(ScoredFrames):
    """The output and truth of one tick under the rules."""

    def __init__(self, output: Output, truth: TruthFrame, rules: Rules) -> None:
        super().__init__(columns_of([(output, truth)]), rules)
        self.output, self.truth = output, truth

    @property
    def state(self) -> State:
        return STATES[int(self.states[0])]
