"""A training run whose processes are the workers of Ray's torch trainer."""

from __future__ import annotations

import shutil
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from perception.errors import MissingExtraError, PerceptionError, TrainingError
from perception.files import claimed_folder
from perception.pipeline.batch.ray_cluster import connected
from perception.training.loop.observer import Silent, StepReport, Watcher
from perception.training.loop.process_group import ProcessGroup
from perception.training.run_folder import STATE, with_absolute_paths
from perception.training.train_config import TrainConfig
from perception.training.training_run import Finished, train

FAILURES = 3
"""How often lost workers are replaced; the run goes on from its last saved state."""
POLL_S = 0.5
GONE_S = 120.0
"""How long a process that was lost may take to end, and its locks on a network file system to end with it."""

_OWN_FOLDER = ".ray"


def train_on_ray(
    config: TrainConfig,
    address: str = "",
    processes: int | None = None,
    resume: bool = False,
    watcher: Watcher | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Finished:
    """Train a model in several processes of a Ray cluster, as `train` does under `torchrun`.

    Every node needs the logs, `data.cache` and the run folder under the same paths.

    Args:
        config, resume, watcher, stop: As for `train`.
        address: As for `run_on_ray`; empty: the cluster of `RAY_ADDRESS` or of this machine, else one that is
            started here.
        processes: How many; None: the GPUs of the cluster, else its nodes.

    Raises:
        MissingExtraError: Ray is not installed.
        PerceptionError: The cluster cannot be reached; else as `train`.
    """
    config = with_absolute_paths(config)
    schedule = config.schedule
    ProcessGroup(size=processes or 1).shard(schedule.batch, schedule.accumulate)  # said at once
    seen = watcher or Silent()
    with connected(address, "train --on ray") as ray:
        _check_train_extra()
        exchange = ray.remote(_Exchange).options(num_cpus=0).remote()
        gpus = int(ray.cluster_resources().get("GPU", 0)) if config.run.device != "cpu" else 0
        nodes = sum(bool(node["Alive"]) for node in ray.nodes())
        settings = {"config": config, "resume": resume, "exchange": exchange}
        count = processes or gpus or nodes
        fit = ray.remote(num_cpus=0)(_fit).remote(settings, count, gpus >= count)
        try:
            asked = False
            while not ray.wait([fit], timeout=POLL_S)[0]:
                if stop() and not asked:
                    asked = True
                    exchange.ask_to_stop.remote()
                _show(ray.get(exchange.take.remote()), seen)
            _show(ray.get(exchange.take.remote()), seen)
            return _finished(ray, exchange, fit)
        finally:
            ray.cancel(fit)
            ray.kill(exchange)
            shutil.rmtree(config.run.out / _OWN_FOLDER, ignore_errors=True)


def _check_train_extra() -> None:
    try:
        import ray.train.torch  # noqa: F401
    except ImportError:
        raise MissingExtraError("train --on ray", "ray") from None


def _finished(ray: Any, exchange: Any, fit: Any) -> Finished:
    """Return the end of the run as its first process told it.

    Raises:
        PerceptionError: A process failed.
    """
    finished, error = ray.get(exchange.end.remote())
    if error is not None:
        raise error
    try:
        ray.get(fit)
    except ray.exceptions.RayError as lost:
        text = (str(lost).strip().splitlines() or [type(lost).__name__])[-1][:200]
        raise TrainingError(f"the training was lost on the cluster: {text}; go on with --resume") from None
    if finished is None:
        raise TrainingError("the training ended on the cluster without a result; go on with --resume")
    result: Finished = finished
    return result


class _Exchange:
    """An actor through which the processes of a run speak with the command."""

    def __init__(self) -> None:
        self._events: deque[tuple[str, tuple[Any, ...]]] = deque(maxlen=1000)
        self._starts: dict[int, int] = {}
        self._stop = False
        self._finished: Finished | None = None
        self._error: PerceptionError | None = None

    def begin(self, rank: int) -> tuple[int, bool]:
        """Return how often a process of this rank has begun, and whether the run has failed for good."""
        self._starts[rank] = self._starts.get(rank, 0) + 1
        return self._starts[rank], self._error is not None

    def report(self, method: str, values: tuple[Any, ...]) -> bool:
        """Keep a call for the watcher; return whether the run should stop."""
        self._events.append((method, values))
        return self._stop

    def take(self) -> list[tuple[str, tuple[Any, ...]]]:
        """Return the calls so far."""
        events, self._events = list(self._events), deque(maxlen=1000)
        return events

    def ask_to_stop(self) -> None:
        self._stop = True

    def finish(self, finished: Finished) -> None:
        self._finished = finished

    def fail(self, error: PerceptionError) -> None:
        self._error = self._error or error

    def end(self) -> tuple[Finished | None, PerceptionError | None]:
        """Return how the run ended, and its error."""
        return self._finished, self._error


class _RemoteWatcher:
    """The watcher of the first process; `stop` is what the command said at the last report."""

    def __init__(self, ray: Any, exchange: Any) -> None:
        self._ray, self._exchange = ray, exchange
        self._stop = False

    def stop(self) -> bool:
        """Return whether the command asked the run to stop."""
        return self._stop

    def cached(self, what: str, done: int, total: int) -> None:
        self._report("cached", what, done, total)

    def message(self, text: str) -> None:
        self._report("message", text)

    def stepped(self, report: StepReport) -> None:
        self._report("stepped", report)

    def validated(self, step: int, scores: Mapping[str, float], best: bool) -> None:
        self._report("validated", step, scores, best)

    def _report(self, method: str, *values: Any) -> None:
        self._stop = self._ray.get(self._exchange.report.remote(method, values))


def _show(events: list[tuple[str, tuple[Any, ...]]], watcher: Watcher) -> None:
    for method, values in events:
        getattr(watcher, method)(*values)


def _fit(settings: Mapping[str, Any], processes: int, use_gpu: bool) -> None:
    """Train, in a task of the cluster."""
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    config: TrainConfig = settings["config"]
    resources = {"CPU": config.run.threads or 1} | ({"GPU": 1} if use_gpu else {})
    TorchTrainer(
        _train_in_worker,
        train_loop_config=dict(settings),
        scaling_config=ScalingConfig(num_workers=processes, use_gpu=use_gpu, resources_per_worker=resources),
        run_config=RunConfig(
            name="run",
            storage_path=str(config.run.out / _OWN_FOLDER),
            failure_config=FailureConfig(max_failures=FAILURES),
        ),
    ).fit()


def await_end_in(folder: Path, within_s: float = GONE_S) -> None:
    """Wait until no other process trains in a folder, as one that was lost and still ends; not for ever."""
    until_s = time.monotonic() + within_s
    while time.monotonic() < until_s:
        with suppress(OSError), claimed_folder(folder):
            return
        time.sleep(POLL_S)


def _train_in_worker(settings: dict[str, Any]) -> None:
    """Train in one of the processes of a run."""
    import ray
    import ray.train

    config, exchange = settings["config"], settings["exchange"]
    rank = ray.train.get_context().get_world_rank()
    starts, failed = ray.get(exchange.begin.remote(rank))
    if failed:
        return
    if starts > 1 and rank == 0:
        await_end_in(config.run.out)
    resume = settings["resume"] or (starts > 1 and Path(config.run.out, STATE).exists())
    watcher = _RemoteWatcher(ray, exchange)
    try:
        finished = train(config, resume, watcher, watcher.stop)
    except PerceptionError as error:
        ray.get(exchange.fail.remote(error))
        raise
    if finished.first:
        ray.get(exchange.finish.remote(finished))
