"""The loop: batch, losses, balancing, step, average; validating and saving in between.

The order of samples, what is done to them, and every random number depend on the seed and the step alone.
So the state of a run is its weights, its optimiser, its averages and its step, and a run that is resumed
ends with the same bits as one that was never stopped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from perception.errors import TrainingError
from perception.models import FusionModel
from perception.training.data.dataset import Dataset
from perception.training.data.loader import Batches
from perception.training.data.training_sample import Batch, FeatureBatch, rows
from perception.training.loop.head_schedule import HeadSchedule
from perception.training.loop.journal import Journal
from perception.training.loop.loss_step import LossStep
from perception.training.loop.optimiser import clip, make_optimiser, set_rate
from perception.training.loop.process_group import ProcessGroup, with_global_norms
from perception.training.loop.watcher import StepReport, Watcher
from perception.training.loop.weight_average import WeightAverage
from perception.training.train_config import TrainConfig
from perception.training.transfer import train_mode
from perception.training.validation import validate

NOTE_EVERY = 10
"""Steps from one line of the journal to the next."""

Save = Callable[["Trainer", bool], None]
"""Keeps a trainer's state; told whether its average is the best so far."""

Probe = Callable[["Trainer"], None]
"""Looks at a trainer after each step; it is to change nothing."""


class Trainer:
    """A run in memory.

    Args:
        config: What to do.
        model: Where it starts from, on its device.
        loader: Gives this process's part of every batch.
        validation: Samples to score; None: no scores, and no best.
        lessons: Losses and balancing.
        world: The processes that train together.
    """

    def __init__(
        self,
        config: TrainConfig,
        model: FusionModel,
        loader: Batches,
        validation: Dataset | None,
        lessons: LossStep,
        world: ProcessGroup,
        autocast: bool,
    ) -> None:
        self.config, self.model, self.loader = config, model, loader
        self.validation, self.lessons, self.world, self.autocast = validation, lessons, world, autocast
        self.device = next(model.parameters()).device
        self.average = WeightAverage(model, config.schedule.ema)
        if world.size > 1:
            with_global_norms(model)
        self.optimiser = make_optimiser(model, config.optimiser, lessons.parameters())
        self.plan = HeadSchedule(config.schedule)
        self.parameters = [p for group in self.optimiser.param_groups for p in group["params"]]
        self.step = 0
        self.best = -math.inf
        self.best_step = 0
        self.validated = 0  # the step of the last validation
        self.skipped = 0  # batches in a row
        self.unimproved = 0  # validations in a row
        self.cpu_s = 0.0

    def run(
        self,
        journal: Journal | None,
        save: Save,
        watcher: Watcher,
        stop: Callable[[], bool],
        probe: Probe | None = None,
    ) -> str:
        """Train until the end. Returns why: `done`, `early_stop`, `max_cpu` or `interrupted`.

        Args:
            journal: None in all processes but the first.
            save: Called now and then, and at the end.
            watcher: Sees it.
            stop: Asked after each step.
            probe: Called after each step.

        Raises:
            TrainingError: The loss is not a number, and that is to stop the run or happens again and again;
                or the state cannot be kept.
        """
        schedule = self.config.schedule
        cpu_before = time.process_time() - self.cpu_s
        reason = "done"
        if self.validated != self.step and self._due():  # it was interrupted before it came to that
            self._validate(journal, watcher, save)
            reason = self._ended_early() or reason
        with self.loader.running(self.step) as batches:
            began, done_before = time.monotonic(), self.step
            while self.step < schedule.steps and reason == "done":
                losses, rate = self._step(next(batches), journal, watcher)
                self.step += 1
                self.cpu_s = time.process_time() - cpu_before
                speed = (self.step - done_before) * schedule.batch / max(time.monotonic() - began, 1e-9)
                self._tell(
                    StepReport(self.step, schedule.steps, losses, rate, speed, self.lessons.weights()),
                    journal,
                    watcher,
                )
                if probe is not None:
                    probe(self)
                ended = self._ended(stop)
                validated = self._due()
                if validated and not ended:
                    self._validate(journal, watcher, save)
                    ended = self._ended_early()
                if ended:
                    reason = ended
                    break
                if not validated and self.step % schedule.save_every == 0:
                    self._save(save)
        if reason == "max_cpu":
            self._validate(journal, watcher, save)
        else:
            self._save(save)
        return reason

    def _due(self) -> bool:
        """Whether this step is validated."""
        return self.step % self.config.schedule.validate_every == 0 or self.step == self.config.schedule.steps

    def _save(self, save: Save, best: bool = False) -> None:
        """Keep the state; not where the last batches gave no finite loss, which the weights may be to blame
        for: what was kept before is to go on from."""
        if not self.skipped:
            save(self, best)

    def state_dict(self) -> dict[str, Any]:
        """All that the future depends on."""
        return {
            "step": self.step,
            "best": self.best,
            "best_step": self.best_step,
            "validated": self.validated,
            "skipped": self.skipped,
            "unimproved": self.unimproved,
            "cpu_s": self.cpu_s,
            "plan": self.plan.state_dict(),
            "model": self.model.state_dict(),
            "average": self.average.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "lessons": self.lessons.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there.

        Raises:
            TrainingError: It is the state of another model or configuration.
        """
        try:
            self.model.load_state_dict(state["model"])
            self.average.model.load_state_dict(state["average"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.lessons.load_state_dict(state["lessons"])
            self.plan.load_state_dict(state["plan"])
            for name in ("step", "best", "best_step", "skipped", "unimproved", "cpu_s"):
                setattr(self, name, state[name])
            self.validated = state.get("validated", self.step)
        except (KeyError, RuntimeError, ValueError) as error:
            text = " ".join(str(error).split())[:300]
            raise TrainingError(f"the saved state does not fit this configuration: {text}") from None
        for parameter, moments in self.optimiser.state.items():
            for name, value in moments.items():  # in the layout that an uninterrupted run would have
                if value.shape == parameter.shape:
                    moments[name] = torch.empty_like(parameter).copy_(value)

    def _step(
        self, batch: Batch | FeatureBatch, journal: Journal | None, watcher: Watcher
    ) -> tuple[dict[str, float], float]:
        """One step of the optimiser; nothing changes where losses or gradients are not numbers."""
        config, step = self.config, self.step
        torch.manual_seed(_seed(config.run.seed, step))  # of what balancing draws
        rate = set_rate(self.optimiser, config.optimiser, config.schedule, step)
        train_mode(self.model)
        statistics = [(b, b.clone()) for b in self._running_statistics()]
        self.optimiser.zero_grad(set_to_none=True)
        losses: dict[str, float] = {}
        broken: list[str] = []
        parts = _split(batch, config.schedule.accumulate)
        for part in parts:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
                found = self.lessons.losses(self.model, part, self.plan, step)
            values = self._values(found)
            broken += [head for head, value in values.items() if not math.isfinite(value)]
            if broken:
                break
            for head, value in values.items():
                losses[head] = losses.get(head, 0.0) + value / len(parts)
            self.lessons.backward(self.model, found, values, len(parts))
        if not broken:
            self.world.add_gradients(self.parameters)
            if not math.isfinite(clip(self.parameters, config.optimiser.clip_norm)):
                broken = ["gradient"]
        if broken:
            for buffer, before in statistics:
                buffer.copy_(before)
            self._skip(broken, batch, journal, watcher)
            return {}, rate
        self.optimiser.step()
        self.average.update(self.model, step)
        self.plan.saw(step, losses)
        self.skipped = 0
        return losses, rate

    def _values(self, losses: Mapping[str, Tensor]) -> dict[str, float]:
        """The losses as numbers, over all processes."""
        if not losses:
            return {}
        total = self.world.total(torch.stack([loss.detach().float() for loss in losses.values()]))
        return dict(zip(losses, total.tolist(), strict=True))

    def _skip(
        self, broken: list[str], batch: Batch | FeatureBatch, journal: Journal | None, watcher: Watcher
    ) -> None:
        names = [self.loader.dataset.name(place) for place in batch.places]
        where = f"in step {self.step}: {', '.join(names[:8])}{' ...' if len(names) > 8 else ''}"
        what = " and ".join(
            f"the loss of {head}" if head != "gradient" else "the gradient" for head in broken
        )
        self.skipped += 1
        if journal is not None:
            journal.note("skipped", self.step, {"heads": broken, "samples": names})
        run = self.config.run
        if run.on_nan == "stop" or self.skipped >= run.max_skips:
            raise TrainingError(
                f"{what} is not a finite number {where}; {self.skipped} in a row. Look at these "
                "samples, or lower optimiser.lr; the last saved state is kept"
            )
        watcher.said(f"{what} is not a finite number {where}; the batch is left out")

    def _tell(self, report: StepReport, journal: Journal | None, watcher: Watcher) -> None:
        watcher.stepped(report)
        if journal is not None and (self.step % NOTE_EVERY == 0 or self.step == report.steps):
            losses = {f"loss/{head}": value for head, value in report.losses.items()}
            weights = {f"weight/{head}": value for head, value in report.weights.items()}
            speed = {"samples_per_s": round(report.samples_per_s, 3)}
            journal.note("train", self.step, {**losses, **weights, "lr": report.lr, **speed})

    def _validate(self, journal: Journal | None, watcher: Watcher, save: Save) -> None:
        """Score the average; keep it where it is the best. Without scores the latest is the best."""
        best = False
        if self.world.first:
            scores: dict[str, float] = {}
            if self.validation is not None:
                scores = validate(self.average.model, self.validation, self.device, autocast=self.autocast)
            joint = scores.get("joint", float(self.step) if self.validation is None else -1.0)
            least = self.config.schedule.early_stop.least if self.config.schedule.early_stop else 0.0
            best = joint > self.best and not self.skipped
            self.unimproved = 0 if joint > self.best + least else self.unimproved + 1
            if best:
                self.best, self.best_step = joint, self.step
            if journal is not None:
                journal.note("validate", self.step, {**scores, "best": best})
            watcher.validated(self.step, scores, best)
        self.validated = self.step
        self._save(save, best)
        self.world.wait()

    def _ended(self, stop: Callable[[], bool]) -> str:
        """Why the run ends now, the same in every process; empty: it goes on."""
        most = self.config.schedule.max_cpu_s
        reasons = ("", "max_cpu", "interrupted")
        mine = 2 if stop() else int(most is not None and self.cpu_s >= most)
        flags = self.world.total(torch.nn.functional.one_hot(torch.tensor(mine, device=self.device), 3))
        return reasons[max(i for i, n in enumerate(flags.tolist()) if n)]

    def _ended_early(self) -> str:
        early = self.config.schedule.early_stop
        mine = self.world.first and early is not None and self.unimproved >= early.patience
        flag = self.world.total(torch.tensor(float(mine), device=self.device))
        return "early_stop" if float(flag) else ""

    def _running_statistics(self) -> list[Tensor]:
        norms = (m for m in self.model.modules() if isinstance(m, nn.BatchNorm2d))
        return [buffer for norm in norms for buffer in norm.buffers()]


def _seed(seed: int, step: int) -> int:
    return (seed * 1_000_003 + step) % (1 << 63)


def _split(batch: Batch | FeatureBatch, parts: int) -> list[Batch | FeatureBatch]:
    """The batch in equal parts, one after the other."""
    if parts == 1:
        return [batch]
    size = len(batch.places) // parts
    return [rows(batch, slice(k * size, (k + 1) * size)) for k in range(parts)]
