"""The work that any worker may do on samples ahead of their turn: `prepare` and `infer` of a plugin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from perception.pipeline.stage_times import Spent
from perception.plugin import Infers, Plugin, Prepared
from perception.plugin.failures import failure_text
from perception.types import Output, Sample
from perception.types.views import views_of


@dataclass(slots=True)
class TickTask:
    """One sample while the plugin processes it: a row of a batch for each of its cameras.

    Attributes:
        sample: The sample of the tick.
        spent: The times of reading and aligning; those of the rows are added when they are finished.
        waiting: The number of rows that are not finished.
        rows: The finished rows, each with its output; None where there is an error.
    """

    sample: Sample
    spent: Spent
    waiting: int
    rows: list[tuple[SampleTask, Output | None]] = field(default_factory=list)


@dataclass(slots=True)
class SampleTask:
    """One row of a batch while the plugin processes it: the sample as one camera sees it.

    Attributes:
        prepared: The sample alone until the plugin has prepared it.
        spent: The times so far.
        tick: The sample that it is a view of.
        problem: Why the plugin returns no output for the row; empty: no error so far.
    """

    prepared: Prepared
    spent: Spent
    tick: TickTask
    problem: str = ""


@dataclass(slots=True)
class BatchTask:
    """The samples of one batch. With `warm` the plugin sees them and the sinks do not."""

    warm: bool = False
    samples: list[SampleTask] = field(default_factory=list)

    @property
    def ready(self) -> list[SampleTask]:
        """Return the samples without an error."""
        return [task for task in self.samples if not task.problem]


def rows_of(sample: Sample, spent: Spent, problem: str = "") -> list[SampleTask]:
    """Return the rows of a sample, one for each camera.

    Args:
        sample: The sample.
        spent: The times of reading and aligning it.
        problem: Why none of them can be computed; empty: they can.
    """
    views = views_of(sample)
    tick = TickTask(sample, spent, len(views))
    return [SampleTask(Prepared(view), spent.fresh(), tick, problem) for view in views]


class TaskWorker:
    """Prepares the samples of a batch and computes their answers. Safe to call from several threads."""

    def __init__(self, plugin: Plugin) -> None:
        self._plugin = plugin
        self._infers = plugin if isinstance(plugin, Infers) else None

    def run(self, batch: BatchTask) -> BatchTask:
        """Return the same batch, prepared. An error of the plugin is noted in the samples it concerns."""
        for task in batch.ready:
            with task.spent.on("prepare"):
                self._prepare(task)
        if self._infers is not None and batch.ready:
            self._infer(self._infers, batch.ready)
        return batch

    def _prepare(self, task: SampleTask) -> None:
        try:
            prepared = self._plugin.prepare(task.prepared.sample)
            if not isinstance(prepared, Prepared):
                raise TypeError(f"prepare returned {type(prepared).__name__}, expected Prepared")
            task.prepared = prepared
        except BaseException as error:
            task.problem = failure_text(error)

    def _infer(self, plugin: Infers, ready: Sequence[SampleTask]) -> None:
        spent = ready[0].spent.fresh()
        with spent.on("infer"):
            try:
                inferred = list(plugin.infer([task.prepared for task in ready]))
                if len(inferred) != len(ready):
                    raise ValueError(f"infer returned {len(inferred)} samples for {len(ready)}")
                for task, prepared in zip(ready, inferred, strict=True):
                    if not isinstance(prepared, Prepared):
                        raise TypeError(f"infer returned {type(prepared).__name__}, expected Prepared")
                    task.prepared = prepared
            except BaseException as error:
                problem = failure_text(error)
                for task in ready:
                    task.problem = problem
        for task in ready:
            task.spent.add(spent, 1 / len(ready))
