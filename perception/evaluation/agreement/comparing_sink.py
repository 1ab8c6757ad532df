"""The sink of a repeated run: it compares every output and every message with what is stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from perception.errors import CheckpointError
from perception.evaluation.agreement.comparison import Comparison
from perception.pipeline.digest import OutputDigest
from perception.sinks import RunInfo, Sink, StoredOutput
from perception.types import Output, Sample, TruthFrame


class ComparingSink:
    """A sink that compares outputs with the stored ones, in order.

    Args:
        stored: The stored outputs.
        run: The record of the run that made them.
        comparison: Receives each pair.
        complete: Whether that run finished, so that no further outputs can follow.
        writers: Get each stored output with the sample that it is of, to write again what goes with it. An
            output keeps the warnings of the repeated run, which are not stored.

    Attributes:
        stored: How many outputs were stored.
        made: The record of the repeated run.
        digest: The hash of the stored outputs, as a run takes it.
    """

    def __init__(
        self,
        stored: Iterator[StoredOutput],
        run: RunInfo,
        comparison: Comparison,
        complete: bool,
        writers: Sequence[Sink] = (),
    ) -> None:
        self._items = stored
        self._run = run
        self.made = RunInfo()
        self.digest = OutputDigest()
        self._complete = complete
        self._writers = (self.digest, *writers)
        self._next = next(self._items, None)
        self._comparison = comparison
        self.stored = 0

    def open(self, run: RunInfo) -> None:
        before, now = self._run.weights_sha256, run.weights_sha256
        if before != now:
            raise CheckpointError(
                f"expected the weights {before[:16] or 'of an untrained model'}, found "
                f"{now[:16] or 'none'}; name the file with --checkpoint"
            )
        self.made = run
        for writer in self._writers:
            writer.open(run)

    def write(
        self,
        sample: Sample,
        output: Output,
        truth: TruthFrame | None = None,
        timing_ms: Mapping[str, float] | None = None,
    ) -> None:
        if self._next is None:
            if self._complete:
                self._comparison.tick_differs(output)
            return
        stored = self._next.output
        self._comparison.add(stored, output)
        if self._comparison.ticks is None:  # else nothing that follows belongs together
            again = replace(stored, tick=output.tick, warnings=output.warnings)
            for writer in self._writers:
                writer.write(sample, again, truth, timing_ms)
        self._advance()

    def finish(self) -> None:
        """Count the stored outputs that the repeated run did not make."""
        while self._next is not None:
            self._comparison.tick_differs(self._next.output)
            self._advance()

    def close(self) -> None:
        """Close the writers."""
        for writer in self._writers:
            writer.close()

    def _advance(self) -> None:
        self.stored += 1
        self._next = next(self._items, None)
