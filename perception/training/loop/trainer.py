"""The training loop: batch, losses, balancing, step, average; validation and saving in between.

The order of samples, their augmentation and every random number depend on seed and step alone. So the state
of a run is its weights, its optimiser, its averages and its step, and a resumed run ends with the same bits
as one that was never stopped.
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
from perception.training.data.loader import BatchSource
from perception.training.data.training_sample import Batch, FeatureBatch, batch_rows
from perception.training.loop.head_schedule import HeadSchedule
from perception.training.loop.loss_step import LossStep
from perception.training.loop.observer import RunObserver, StepReport
from perception.training.loop.optimiser import WeightAverage, clip, make_optimiser, set_rate
from perception.training.loop.process_group import ProcessGroup, with_global_norms
from perception.training.train_config import TrainConfig
from perception.training.transfer import train_mode
from perception.training.validation import validate
from perception.types import loss_parts

_NUMBERS = ("step", "best", "best_step", "validated", "skipped", "raised", "unimproved", "cpu_s")
_PARTS = ("model", "average", "optimiser", "loss_step", "head_schedule")
_SAVED_AS = {"loss_step": "lessons", "head_schedule": "plan"}  # the names of the first state files


NO_SCORE = -1.0
"""The joint score of validation samples whose truth supports none; others are from 0 to 1."""

Probe = Callable[["Trainer"], None]
"""Called with the trainer after each step; it must not change anything."""


class Trainer:
    """A run in memory.

    Args:
        config: The configuration.
        model: The model to start from, on its device.
        batches: Gives this process's shard of every batch.
        validation: Samples to score; None: no scores, and the latest weights count as the best.
        loss_step: Losses and balancing.
        processes: The processes that train together.
        autocast: Whether forward passes run in bfloat16.
    """

    def __init__(
        self,
        config: TrainConfig,
        model: FusionModel,
        batches: BatchSource,
        validation: Dataset | None,
        loss_step: LossStep,
        processes: ProcessGroup,
        autocast: bool,
    ) -> None:
        self.config, self.model, self.batches, self.validation = config, model, batches, validation
        self.loss_step, self.processes, self.autocast = loss_step, processes, autocast
        self.device = next(model.parameters()).device
        self.average = WeightAverage(model, config.schedule.ema)
        if processes.size > 1:
            with_global_norms(model)
        self.optimiser = make_optimiser(model, config.optimiser, loss_step.parameters())
        self.head_schedule = HeadSchedule(config.schedule, tuple(loss_parts(model.config.extra_heads)))
        self.parameters = [p for group in self.optimiser.param_groups for p in group["params"]]
        self.step = 0
        self.best = -math.inf
        self.best_step = 0
        self.validated = 0  # the step of the last validation
        self.skipped = 0  # batches in a row
        self.raised = -math.inf  # the joint score from which the next rise counts, for `early_stop`
        self.unimproved = 0  # validations in a row since it was reached
        self.cpu_s = 0.0

    def run(self, observer: RunObserver, probe: Probe | None = None) -> str:
        """Train until the end; return why it ended: `done`, `early_stop`, `max_cpu` or `interrupted`.

        Raises:
            TrainingError: The loss is not finite, and `run.on_nan` is `stop` or it was so `run.max_skips`
                times in a row; or the state cannot be saved.
        """
        steps, cpu_before, reason = self.config.schedule.steps, time.process_time() - self.cpu_s, ""
        if self.validated != self.step and self._validation_due():  # interrupted just before it
            reason = self._validate(observer)
        with self.batches.running(self.step) as batches:
            started, first = time.monotonic(), self.step
            while self.step < steps and not reason:
                losses, lr = self._train_step(next(batches), observer)
                self.step += 1
                self.cpu_s = time.process_time() - cpu_before
                samples = (self.step - first) * self.config.schedule.batch
                speed = samples / max(time.monotonic() - started, 1e-9)
                report = StepReport(self.step, steps, losses, lr, speed, self.loss_step.weights())
                observer.stepped(report)
                if probe is not None:
                    probe(self)
                reason = self._must_end(observer.stop)
                if reason:
                    break
                if self._validation_due():
                    reason = self._validate(observer)
                elif self.step % self.config.schedule.save_every == 0:
                    self._save(observer)
        if self.skipped and self.skipped == self.step:
            raise TrainingError(
                f"no batch had a finite loss and gradient: all {self.step} were left out, so nothing was "
                "learned; look at the samples named above, or lower optimiser.lr"
            )
        if reason == "max_cpu":
            self._validate(observer)
        elif self.validated != self.step:  # a validation has saved
            self._save(observer)
        return reason or "done"

    def state_dict(self) -> dict[str, Any]:
        """Return all that the rest of the run depends on."""
        return {name: getattr(self, name) for name in _NUMBERS} | {
            _SAVED_AS.get(name, name): self._part(name).state_dict() for name in _PARTS
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a state.

        Raises:
            TrainingError: The state is of another model or configuration.
        """
        try:
            for name in _PARTS:
                self._part(name).load_state_dict(state[_SAVED_AS.get(name, name)])
            for name in _NUMBERS:  # the first state files have no `raised`
                setattr(self, name, state.get(name, state["best"]) if name == "raised" else state[name])
        except (KeyError, RuntimeError, ValueError) as error:
            text = " ".join(str(error).split())[:300]
            raise TrainingError(f"the saved state does not fit this configuration: {text}") from None
        for parameter, moments in self.optimiser.state.items():
            for name, value in moments.items():  # in the layout that an uninterrupted run would have
                if value.shape == parameter.shape:
                    moments[name] = torch.empty_like(parameter).copy_(value)

    def _part(self, name: str) -> Any:
        return self.average.model if name == "average" else getattr(self, name)

    def _validation_due(self) -> bool:
        schedule = self.config.schedule
        return self.step % schedule.validate_every == 0 or self.step == schedule.steps

    def _save(self, observer: RunObserver, best: bool = False) -> None:
        """Save the state, unless the last batches had no finite loss.

        The weights may be the cause of that, and the run then has to resume from the state before.
        """
        if not self.skipped:
            observer.save(self.average.model, self.state_dict(), best)

    def _train_step(
        self, batch: Batch | FeatureBatch, observer: RunObserver
    ) -> tuple[dict[str, float], float]:
        """Take one step of the optimiser; nothing changes where losses or gradients are not finite.

        Returns:
            The losses by head (empty: the batch was skipped) and the learning rate.
        """
        config, step = self.config, self.step
        torch.manual_seed((config.run.seed * 1_000_003 + step) % (1 << 63))  # for balancing methods
        rate = set_rate(self.optimiser, config.optimiser, config.schedule, step)
        train_mode(self.model)
        norms = [module for module in self.model.modules() if isinstance(module, nn.BatchNorm2d)]
        statistics = [(buffer, buffer.clone()) for norm in norms for buffer in norm.buffers()]
        self.optimiser.zero_grad(set_to_none=True)
        losses, broken = self._accumulate_gradients(batch)
        if not broken:
            self.processes.add_gradients(self.parameters)
            if not math.isfinite(clip(self.parameters, config.optimiser.clip_norm)):
                broken = ["gradient"]
        if broken:
            for buffer, before in statistics:
                buffer.copy_(before)
            self._skip(broken, batch, observer)
            return {}, rate
        self.optimiser.step()
        self.average.update(self.model, step)
        self.head_schedule.update(step, losses)
        self.skipped = 0
        return losses, rate

    def _accumulate_gradients(self, batch: Batch | FeatureBatch) -> tuple[dict[str, float], list[str]]:
        """Add up the gradients of a batch's micro-batches.

        Returns:
            The losses by head, and the heads whose loss is not finite; after the first, nothing is added.
        """
        losses: dict[str, float] = {}
        weights = self.head_schedule.weights(self.step)
        micro_batches = _split(batch, self.config.schedule.accumulate)
        for micro_batch in micro_batches:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
                terms = self.loss_step.losses(self.model, micro_batch, self.head_schedule, self.step)
            values = self._values(terms)
            # Without the weights of the schedule, which change from step to step.
            values = {head: value / weights.get(head, 1.0) for head, value in values.items()}
            broken = [head for head, value in values.items() if not math.isfinite(value)]
            if broken:
                return losses, broken
            for head, value in values.items():
                losses[head] = losses.get(head, 0.0) + value / len(micro_batches)
            self.loss_step.backward(terms, values, len(micro_batches))
        return losses, []

    def _values(self, losses: Mapping[str, Tensor]) -> dict[str, float]:
        """Return the losses as numbers, summed over all processes."""
        if not losses:
            return {}
        total = self.processes.total(torch.stack([loss.detach().float() for loss in losses.values()]))
        return dict(zip(losses, total.tolist(), strict=True))

    def _skip(self, heads: list[str], batch: Batch | FeatureBatch, observer: RunObserver) -> None:
        self.skipped += 1
        text = observer.skipped(self.step, heads, [self.batches.dataset.name(i) for i in batch.ids])
        run = self.config.run
        if run.on_nan == "stop" or self.skipped >= run.max_skips:
            raise TrainingError(
                f"{text}; {self.skipped} in a row. Look at these samples, or lower optimiser.lr; the last "
                "saved state is kept"
            )
        observer.watcher.message(f"{text}; the batch is left out")

    def _validate(self, observer: RunObserver) -> str:
        """Score the average and save; return `early_stop` where the run ends now, else an empty text.

        Without validation samples, or without a score on them, the latest average is the best.
        """
        early = self.config.schedule.early_stop
        best = False
        if self.processes.first:
            scores: dict[str, float] = {}
            if self.validation is not None:
                scores = validate(self.average.model, self.validation, self.device, autocast=self.autocast)
            joint = scores.get("joint", float(self.step) if self.validation is None else NO_SCORE)
            latest = joint == NO_SCORE and self.best in (-math.inf, NO_SCORE)
            if latest and self.best == -math.inf:
                observer.watcher.message(
                    "the validation samples have too little truth for a score: the latest weights are kept"
                )
            best = (joint > self.best or latest) and not self.skipped
            improved = joint > self.raised + (early.least if early else 0.0)
            self.unimproved = 0 if improved or latest else self.unimproved + 1
            self.raised = joint if improved else self.raised
            if best:
                self.best, self.best_step = joint, self.step
            observer.validated(self.step, scores, best)
        self.validated = self.step
        self._save(observer, best)
        self.processes.wait()
        ends = self.processes.first and early is not None and self.unimproved >= early.patience
        return "early_stop" if float(self.processes.total(self._tensor(float(ends)))) else ""

    def _must_end(self, stop: Callable[[], bool]) -> str:
        """Return why the run ends now, the same in every process; empty: it continues."""
        most = self.config.schedule.max_cpu_s
        reasons = ("", "max_cpu", "interrupted")
        mine = 2 if stop() else int(most is not None and self.cpu_s >= most)
        flags = self.processes.total(nn.functional.one_hot(self._tensor(mine), 3))
        return reasons[max(i for i, n in enumerate(flags.tolist()) if n)]

    def _tensor(self, value: float) -> Tensor:
        return torch.tensor(value, device=self.device)


def _split(batch: Batch | FeatureBatch, parts: int) -> list[Batch | FeatureBatch]:
    """Split the batch into equal consecutive parts."""
    if parts == 1:
        return [batch]
    size = len(batch.ids) // parts
    return [batch_rows(batch, slice(k * size, (k + 1) * size)) for k in range(parts)]
