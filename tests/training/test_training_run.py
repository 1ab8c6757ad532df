"""A run as a user has it: it learns, resumes exactly, and loses nothing on bad days."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from perception.errors import CheckpointError, ConfigError, MissingExtraError, TrainingError
from perception.files import claimed_folder
from perception.logs import open_log
from perception.models import FusionModel
from perception.models.checkpoint import load_checkpoint, read_metadata
from perception.pipeline import replay
from perception.plugin import load_plugin
from perception.training import Silent, StepReport, TrainConfig, read_journal, train
from perception.training import training_run as run_module
from perception.training.data.cache_spec import CacheSpec
from perception.training.data.dataset import Dataset
from perception.training.data.input_stats import seen_stretch
from perception.training.data.object_pasting import Cutting
from perception.training.data.picture_log import LabelledPicture, write_picture_log
from perception.training.data.sample_cache import CachedLog
from perception.training.data.splits import open_splits, open_validation
from perception.training.loop.process_group import ProcessGroup
from perception.training.loop.state_file import load_state
from tests.scripted_scene import write_scene
from tests.training.conftest import small_config


class Seen(Silent):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.steps: list[StepReport] = []
        self.scores: list[dict[str, float]] = []

    def message(self, text: str) -> None:
        self.texts.append(text)

    def stepped(self, report: StepReport) -> None:
        self.steps.append(report)

    def validated(self, step: int, scores: Any, best: bool) -> None:
        self.scores.append(dict(scores))


@pytest.fixture(scope="module")
def watched(
    street: Path, cache_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[TrainConfig, Seen]:
    """A run of four steps, done, and what was said meanwhile."""
    config, seen = small_config(street, cache_root, tmp_path_factory.mktemp("runs") / "whole"), Seen()
    assert train(config, watcher=seen).reason == "done"
    return config, seen


@pytest.fixture(scope="module")
def whole(watched: tuple[TrainConfig, Seen]) -> TrainConfig:
    """A run of four steps, done."""
    return watched[0]


def weights(folder: Path, name: str = "last") -> dict[str, Tensor]:
    return dict(load_checkpoint(folder / f"{name}.safetensors")[0].state_dict())


def stop_after(steps: int) -> Any:
    """A `stop` that says so once, after some steps."""
    count = 0

    def stop() -> bool:
        nonlocal count
        count += 1
        return count == steps

    return stop


def assert_same_state(one: Any, other: Any, path: str = "state") -> None:
    """Bit by bit, but for the clock."""
    assert type(one) is type(other), path
    if isinstance(one, Tensor):
        assert one.dtype == other.dtype, path
        assert one.numpy().tobytes() == other.numpy().tobytes(), path
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), path
        for key in one.keys() - {"cpu_s"}:
            assert_same_state(one[key], other[key], f"{path}.{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), path
        for index, (a, b) in enumerate(zip(one, other, strict=True)):
            assert_same_state(a, b, f"{path}[{index}]")
    else:
        assert one == other, path


BALANCING = [
    "gradnorm",
    *(pytest.param(name, marks=pytest.mark.slow) for name in ("static", "uncertainty", "dwa", "upgrad")),
]


@pytest.mark.parametrize("method", BALANCING)
def test_a_run_that_was_stopped_and_resumed_ends_with_the_same_bits(
    method: str, street: Path, cache_root: Path, tmp_path: Path
) -> None:
    """Weights, averages, optimiser, balancing, scores: stopped after two steps, and after four."""

    if method == "upgrad":
        pytest.importorskip("torchjd")

    def config(name: str) -> TrainConfig:
        schedule = {"steps": 5, "validate_every": 3, "focus": {"every": 3, "steps": 2}}
        return small_config(
            street, cache_root, tmp_path / name, balancing={"method": method}, schedule=schedule
        )

    train(config("whole"))
    assert train(config("parts"), stop=stop_after(2)).reason == "interrupted"
    assert train(config("parts"), resume=True, stop=stop_after(2)).reason == "interrupted"
    assert train(config("parts"), resume=True).reason == "done"
    one, other = (load_state(tmp_path / name / "state.safetensors") for name in ("whole", "parts"))
    assert_same_state(one, other)
    for name in ("last", "best"):
        found = [(tmp_path / run / f"{name}.safetensors").read_bytes() for run in ("whole", "parts")]
        assert found[0] == found[1]


@pytest.mark.parametrize("step", [2, 4])
def test_a_validation_that_an_interrupt_cut_off_is_made_up_for(
    step: int, whole: TrainConfig, street: Path, cache_root: Path, tmp_path: Path
) -> None:
    config = small_config(street, cache_root, tmp_path / "parts")
    assert train(config, stop=stop_after(step)).reason == "interrupted"
    assert train(config, resume=True).reason == "done"
    one, other = (load_state(folder / "state.safetensors") for folder in (whole.run.out, config.run.out))
    assert_same_state(one, other)
    for name in ("last", "best"):
        assert_same_state(weights(whole.run.out, name), weights(config.run.out, name))
    validated = [
        [n["step"] for n in read_journal(c.run.out) if n["kind"] == "validate"] for c in (whole, config)
    ]
    assert validated[0] == validated[1] == [2, 4]


@pytest.mark.parametrize("method", ["pcgrad", "gradnorm", "static"])
def test_only_the_heads_are_trained_where_the_rest_is_frozen(
    method: str, street: Path, cache_root: Path, tmp_path: Path
) -> None:
    if method == "pcgrad":
        pytest.importorskip("torchjd")
    frozen = ["camera", "range", "status", "fusion", "top_down", "class_head"]
    config = small_config(
        street,
        cache_root,
        tmp_path / "run",
        balancing={"method": method},
        transfer={"freeze": frozen},
        schedule={"validate_every": 4, **({"alternate": "heads"} if method == "static" else {"steps": 3})},
    )
    seen = Seen()
    assert train(config, watcher=seen).reason == "done"
    after = weights(config.run.out)
    start = FusionModel(config.model_shape(), seed=config.run.seed).state_dict()
    moved = {name for name in after if not torch.equal(after[name], start[name])}
    assert any(name.startswith("box_head") for name in moved)
    assert any(name.startswith("control_head") for name in moved)
    kept = [name for name in moved if name.split(".")[0] in frozen]
    assert not kept


def test_a_run_in_bfloat16_learns_and_says_finite_losses(
    watched: tuple[TrainConfig, Seen], street: Path, cache_root: Path, tmp_path: Path
) -> None:
    exact, seen = watched[1], Seen()
    config = small_config(
        street,
        cache_root,
        tmp_path / "run",
        run={"precision": "bf16"},
        schedule={"steps": 2, "warmup_steps": 1},
    )
    assert train(config, watcher=seen).reason == "done"
    first, same = seen.steps[0].losses, exact.steps[0].losses
    assert first != same
    for head, loss in same.items():
        assert first[head] == pytest.approx(loss, abs=0.1 + 0.05 * abs(loss))
    assert all(torch.isfinite(torch.tensor(list(step.losses.values()))).all() for step in seen.steps)


def test_a_run_that_was_killed_goes_on_from_its_last_saved_state(
    whole: TrainConfig, street: Path, cache_root: Path, tmp_path: Path
) -> None:
    class Killed(Silent):
        def stepped(self, report: StepReport) -> None:
            if report.step == 4:  # the state of step 3 is kept
                raise KeyboardInterrupt

    config = small_config(street, cache_root, tmp_path / "killed", schedule={"save_every": 1})
    with pytest.raises(KeyboardInterrupt):
        train(config, watcher=Killed())
    assert load_state(config.run.out / "state.safetensors")["step"] == 3
    assert train(config, resume=True).steps == 4
    assert_same_state(*(load_state(c.run.out / "state.safetensors") for c in (whole, config)))


def test_the_folder_of_a_run_says_everything(whole: TrainConfig) -> None:
    folder = whole.run.out
    names = {path.name for path in folder.iterdir()}
    assert {
        "train.yaml",
        "metrics.jsonl",
        "state.safetensors",
        "last.safetensors",
        "best.safetensors",
    } <= names
    lines = read_journal(folder)
    assert [line["step"] for line in lines if line["kind"] == "validate"] == [2, 4]
    assert lines[0]["kind"] == "begin"
    assert lines[0]["samples"] == 30
    final = [line for line in lines if line["kind"] == "train"][-1]
    assert {"loss/class", "loss/box", "loss/distance", "loss/control", "lr"} <= final.keys()
    meta = read_metadata(folder / "best.safetensors")
    assert meta.trained
    assert meta.trained_on[0]["log"] == "street.mcap"
    assert meta.trained_on[0]["samples"] == 30


def test_the_trained_checkpoint_replays(whole: TrainConfig, street: Path, recipe: CacheSpec) -> None:
    with open_log(street) as log:
        config = recipe.config_for(log)
        plugin = config.plugin.model_copy(update={"checkpoint": whole.run.out / "best.safetensors"})
        engine = config.engine.model_copy(update={"backend": "torch"})
        config = config.model_copy(update={"plugin": plugin, "engine": engine})
        summary = replay(log, config, load_plugin("fusion"))
    assert summary.status == "clean"
    assert summary.outputs["box"]["valid"] == summary.frames == 30
    assert not {w.code for w in summary.warnings} & {"untrained", "status_rate", "status_steps"}


def test_the_checkpoint_says_how_much_pictures_were_stretched(whole: TrainConfig, cached: CachedLog) -> None:
    samples = Dataset([cached], [np.arange(len(cached))])
    limits = list(seen_stretch(samples, whole.model_shape(), whole.augment.pictures))
    for name in ("last", "best"):
        assert read_metadata(whole.run.out / f"{name}.safetensors").preprocess["stretch"] == limits


def test_every_head_learns(street: Path, cache_root: Path, tmp_path: Path) -> None:
    still = {"mirror": 0, "noise": 0, "lost_returns": 0, "late": 0, "rig_shift_px": 0, "blur": 0,
             "drop": {"camera": 0, "range": 0, "status": 0}}  # fmt: skip
    schedule = {"steps": 20, "warmup_steps": 2, "validate_every": 20, "save_every": 20, "ema": 0.9}
    seen = Seen()
    config = small_config(
        street, cache_root, tmp_path / "run", schedule=schedule, augment=still, optimiser={"lr": 0.02}
    )
    train(config, watcher=seen)
    for head in ("class", "box", "distance", "control"):
        first = sum(report.losses[head] for report in seen.steps[:5]) / 5
        last = sum(report.losses[head] for report in seen.steps[-5:]) / 5
        assert last < first - 0.08 * abs(first), (head, first, last)


def test_truth_that_is_missing_for_a_head_masks_its_loss(
    recipe: CacheSpec, cache_root: Path, tmp_path: Path
) -> None:
    def drops_control(row: Any) -> list[Any]:
        return [] if row.topic == "/truth/control" else [row]

    log = write_scene(tmp_path / "a.mcap", duration_s=1.0, mutate=drops_control)
    seen = Seen()
    config = small_config(log, cache_root, tmp_path / "run", schedule={"steps": 2, "warmup_steps": 1})
    train(config, watcher=seen)
    assert any("control" in text and "masked" in text for text in seen.texts)
    assert all(torch.isfinite(torch.tensor(list(report.losses.values()))).all() for report in seen.steps)
    assert all(report.losses.get("control", 0.0) == 0.0 for report in seen.steps)
    assert seen.steps[0].losses["class"] > 0


def test_logs_without_any_truth_are_refused(cache_root: Path, tmp_path: Path) -> None:
    log = write_scene(tmp_path / "a.mcap", duration_s=1.0, truth=False)
    with pytest.raises(ConfigError, match=r"no sample has truth .* data\.config"):
        train(small_config(log, cache_root, tmp_path / "run"))


class Poisoned:
    """Losses of which one head is not a number in some steps."""

    def __init__(self, real: Any, steps: set[int]) -> None:
        self.real, self.steps = real, steps

    def __call__(self, lessons: Any, model: Any, part: Any, plan: Any, step: int) -> Any:
        found = self.real(lessons, model, part, plan, step)
        if step in self.steps:
            found["distance"] = found["distance"] * torch.nan
        return found


def poison(monkeypatch: pytest.MonkeyPatch, *steps: int) -> None:
    from perception.training.loop.loss_step import LossStep

    poisoned = Poisoned(LossStep.losses, set(steps))
    monkeypatch.setattr(LossStep, "losses", lambda *given: poisoned(*given))


def test_a_loss_that_is_no_number_is_named_and_its_batch_left_out(
    street: Path, cache_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison(monkeypatch, 2)
    seen = Seen()
    config = small_config(street, cache_root, tmp_path / "run")
    train(config, watcher=seen)
    (predicted,) = [text for text in seen.texts if "not a finite number" in text]
    assert "the loss of distance" in predicted
    assert "step 2: street.mcap sample" in predicted
    (line,) = [line for line in read_journal(config.run.out) if line["kind"] == "skipped"]
    assert line["heads"] == ["distance"]
    assert len(line["samples"]) == 4
    assert all(
        value.isfinite().all() for name, value in weights(config.run.out).items() if "imum" not in name
    )


@pytest.mark.parametrize("on_nan", ["stop", "skip"])
def test_losses_that_stay_no_numbers_stop_the_run_and_keep_what_was_trained(
    on_nan: str, street: Path, cache_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison(monkeypatch, *range(3, 100))
    config = small_config(
        street, cache_root, tmp_path / "run", schedule={"steps": 6}, run={"on_nan": on_nan, "max_skips": 3}
    )
    with pytest.raises(TrainingError, match=r"the loss of distance .* lower optimiser\.lr"):
        train(config)
    state = load_state(config.run.out / "state.safetensors")
    assert state["step"] == 2
    monkeypatch.undo()
    assert train(config, resume=True).steps == 6


def test_a_full_disk_stops_the_run_and_keeps_the_state_before(
    street: Path, cache_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = run_module.save_checkpoint, 0

    def full(*given: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > 2:
            raise CheckpointError("last.safetensors cannot be written: No space left on device")
        return real(*given)

    monkeypatch.setattr(run_module, "save_checkpoint", full)
    config = small_config(street, cache_root, tmp_path / "run")
    with pytest.raises(TrainingError, match=r"No space left.*--resume"):
        train(config)
    monkeypatch.undo()
    assert load_state(config.run.out / "state.safetensors")["step"] == 2
    assert train(config, resume=True).reason == "done"


def test_a_folder_with_a_run_is_not_trained_over(whole: TrainConfig) -> None:
    with pytest.raises(ConfigError, match=r"holds a run already.*--resume"):
        train(whole)


def test_two_programs_do_not_train_in_one_folder(whole: TrainConfig, tmp_path: Path) -> None:
    """As where a job is submitted twice, or resumed while it still runs: their files would be mixed."""
    new = whole.model_copy(update={"run": whole.run.model_copy(update={"out": tmp_path / "new"})})
    for config, resume in ((whole, True), (new, False)):
        config.run.out.mkdir(exist_ok=True)
        with claimed_folder(config.run.out):
            before = sorted(config.run.out.iterdir())
            with pytest.raises(ConfigError, match="another program trains in"):
                train(config, resume=resume)
        assert sorted(config.run.out.iterdir()) == before


def test_a_run_does_not_go_on_with_another_configuration(whole: TrainConfig, tmp_path: Path) -> None:
    folder = shutil.copytree(whole.run.out, tmp_path / "copy")
    other = whole.model_copy(
        update={
            "run": whole.run.model_copy(update={"out": folder}),
            "optimiser": whole.optimiser.model_copy(update={"lr": 0.5}),
        }
    )
    with pytest.raises(ConfigError, match=r"optimiser\.lr: the run began with 0\.002, found 0\.5"):
        train(other, resume=True)


def test_a_run_does_not_go_on_with_a_log_that_came_into_its_folder(
    street: Path, cache_root: Path, tmp_path: Path
) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "street.mcap").symlink_to(street)
    data = {"train": [str(logs)], "validate": []}
    config = small_config(street, cache_root, tmp_path / "run", data=data)
    train(config, stop=stop_after(2))
    later = write_scene(logs / "later.mcap", duration_s=1.0)
    state = (tmp_path / "run" / "state.safetensors").read_bytes()
    with pytest.raises(ConfigError, match=r"later.mcap: the run began with 0 of its samples, found 10"):
        train(config, resume=True)
    assert (tmp_path / "run" / "state.safetensors").read_bytes() == state
    later.unlink()
    assert train(config, resume=True).reason == "done"


def test_a_run_goes_on_by_the_files_that_it_names_however_they_are_spelled(
    whole: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(whole.run.out, tmp_path / "copy")
    log = Path(whole.data.train[0])
    monkeypatch.chdir(log.parent)
    data = whole.data.model_copy(
        update={"train": (log.name,), "validate_": (f"../{log.parent.name}/{log.name}",)}
    )
    other = whole.model_copy(
        update={"run": whole.run.model_copy(update={"out": folder}), "data": data},
    )
    assert train(other, resume=True).steps == 4


def test_resuming_with_a_log_of_other_content_is_told(cache_root: Path, tmp_path: Path) -> None:
    """As with labels that were put right meanwhile: its name and the number of its samples are the same."""
    log = write_scene(tmp_path / "drive.mcap", seed=3, duration_s=1.0, image_size=(64, 32))
    config = small_config(log, cache_root, tmp_path / "run")
    told = []
    for seed, resume in ((3, False), (3, True), (4, True)):
        write_scene(log, seed=seed, duration_s=1.0, image_size=(64, 32))
        seen = Seen()
        train(config, resume, watcher=seen, stop=stop_after(1))
        told.append([text for text in seen.texts if text.startswith("drive.mcap: the content")])
    assert [len(texts) for texts in told] == [0, 0, 1]


def test_the_last_part_of_each_log_is_held_out_by_time(
    street: Path, cache_root: Path, tmp_path: Path
) -> None:
    config = small_config(
        street,
        cache_root,
        tmp_path / "run",
        data={"validate": [], "validate_last": 0.4, "validate_samples": 400},
        schedule={"steps": 2, "warmup_steps": 1},
        run={"evaluate": True},
    )
    seen = Seen()
    train(config, watcher=seen)
    (begin,) = [line for line in read_journal(config.run.out) if line["kind"] == "begin"]
    assert begin["samples"] == 18  # of 30 in three seconds
    assert begin["validation_samples"] == 12
    report = json.loads((config.run.out / "report.json").read_text())
    assert [log["frames"] for log in report["logs"]] == [12]
    assert not any("trained and validated on the same" in text for text in seen.texts)


@pytest.mark.parametrize("part", [{}, {"end_s": 1.5}])
def test_validating_on_a_log_that_is_learned_from_is_told_also_of_a_copy(
    part: dict[str, float], street: Path, cache_root: Path, tmp_path: Path
) -> None:
    """Also where a part of it is learned from: it is validated on as a whole."""
    copy = tmp_path / "other.mcap"
    shutil.copy(street, copy)
    other = write_scene(tmp_path / "unseen.mcap", duration_s=1.0)
    for log, told in ((copy, 1), (other, 0)):
        seen = Seen()
        config = small_config(street, cache_root, tmp_path / "run", data={"validate": [str(log)], **part})
        open_splits(config, seen, ProcessGroup())
        assert sum("trained and validated on the same 1 log(s)" in text for text in seen.texts) == told


def test_held_out_time_and_logs_to_validate_on_exclude_each_other(street: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"validate_last: holds out a part of data\.train"):
        small_config(street, tmp_path / "cache", tmp_path / "run", data={"validate_last": 0.2})


def test_settings_that_leave_no_sample_are_named_with_what_there_is(street: Path, tmp_path: Path) -> None:
    data = {"validate": [], "start_s": 1000.0}
    config = small_config(street, tmp_path / "cache", tmp_path / "run", data=data)
    words = r"samples to learn from, found \d+ in \d+ logs?, none of them with data\.start_s 1000; give"
    with pytest.raises(ConfigError, match=words):
        train(config)


def test_a_run_without_one_finite_batch_says_so(
    street: Path, cache_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_config(street, cache_root, tmp_path / "run", optimiser={"clip_norm": 1.0})
    monkeypatch.setattr("perception.training.loop.trainer.clip", lambda *_: float("nan"))
    with pytest.raises(TrainingError, match="no batch had a finite loss and gradient: all 4 were left out"):
        train(config)


@pytest.mark.parametrize(
    ("section", "path"),
    [
        (
            {"sensors": {"status": {"topic": "/vehicle/state", "fields": {"gear": "speed"}}}},
            "sensors.status.fields",
        ),
        (
            {"truth": {"control": "/truth/control", "control_fields": {"gear": "curvature"}}},
            "truth.control_fields",
        ),
    ],
)
def test_values_that_the_model_has_no_channel_for_are_refused(
    section: dict[str, Any], path: str, street: Path, tmp_path: Path
) -> None:
    sensors = {"camera": {"topic": "/camera/image"}, **section.get("sensors", {})}
    reading = tmp_path / "reading.yaml"
    reading.write_text(json.dumps({"version": 1, **section, "sensors": sensors}))
    config = small_config(street, tmp_path / "cache", tmp_path / "run", data={"config": str(reading)})
    with pytest.raises(
        ConfigError, match=rf"{path}: the model has no (status|control) channel gear.*name: gear"
    ):
        train(config)


def test_incomplete_classes_of_an_evaluation_are_said_otherwise_to_a_training(
    street: Path, tmp_path: Path
) -> None:
    reading = tmp_path / "reading.yaml"
    truth = {"boxes": "/truth/detections", "incomplete_classes": ["person"]}
    reading.write_text(json.dumps({"version": 1, "truth": truth}))
    config = small_config(street, tmp_path / "cache", tmp_path / "run", data={"config": str(reading)})
    with pytest.raises(ConfigError, match=r"truth\.incomplete_classes: .*data\.complete_classes"):
        train(config)
    assert not (tmp_path / "cache").exists(), "it is said before logs are decoded"


def test_idle_cores_decide_the_threads(
    street: Path, cache_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = torch.get_num_threads()
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("os.getloadavg", lambda: (1e6, 0.0, 0.0))
    seen = Seen()
    config = small_config(
        street, cache_root, tmp_path / "run", run={"threads": None}, schedule={"steps": 1, "warmup_steps": 0}
    )
    try:
        train(config, watcher=seen)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
    assert any(text.startswith("threads: 1, as 1000000.0 of") for text in seen.texts)


def test_resuming_what_is_not_there_is_answered(street: Path, cache_root: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"state\.safetensors cannot be read"):
        train(small_config(street, cache_root, tmp_path / "none"), resume=True)
    assert not (tmp_path / "none").exists()


def test_the_run_stops_early_when_scores_do_not_rise(street: Path, cache_root: Path, tmp_path: Path) -> None:
    schedule = {"steps": 40, "validate_every": 1, "early_stop": {"patience": 2, "least": 1.0}}
    assert train(small_config(street, cache_root, tmp_path / "run", schedule=schedule)).steps == 3


@pytest.mark.parametrize(("rise", "steps"), [(0.006, 7), (0.004, 3)])
def test_a_run_goes_on_while_scores_rise_enough_over_its_patience(
    rise: float, steps: int, street: Path, cache_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each validation gains less than `least`; two of them together gain 0.012, or 0.008."""
    scores = iter(0.5 + rise * k for k in range(99))
    monkeypatch.setattr("perception.training.loop.trainer.validate", lambda *_, **__: {"joint": next(scores)})
    schedule = {"steps": 7, "validate_every": 1, "early_stop": {"patience": 2, "least": 0.01}}
    config = small_config(street, cache_root, tmp_path / "run", schedule=schedule)
    finished = train(config)
    assert (finished.steps, finished.best_step) == (steps, steps)


def test_without_truth_to_validate_on_the_latest_weights_are_kept(
    street: Path, cache_root: Path, tmp_path: Path
) -> None:
    seen, blind = Seen(), write_scene(tmp_path / "blind.mcap", duration_s=0.5, truth=False)
    schedule = {"steps": 4, "validate_every": 1, "early_stop": {"patience": 2}}
    data = {"validate": [str(blind)], "config": None}
    config = small_config(street, cache_root, tmp_path / "run", data=data, schedule=schedule)
    finished = train(config, watcher=seen)
    assert (finished.steps, finished.best_step) == (4, 4)
    assert_same_state(weights(config.run.out), weights(config.run.out, "best"))
    assert sum("too little truth for a score" in text for text in seen.texts) == 1


def test_the_run_ends_properly_when_its_cpu_time_is_up(
    street: Path, cache_root: Path, tmp_path: Path
) -> None:
    config = small_config(street, cache_root, tmp_path / "run", schedule={"steps": 10000, "max_cpu_s": 0.3})
    finished = train(config)
    assert finished.reason == "max_cpu"
    assert 0 < finished.steps < 10000
    assert (config.run.out / "best.safetensors").is_file()


def test_the_weight_of_a_focus_is_not_part_of_the_losses_that_are_told_and_compared(
    watched: tuple[TrainConfig, Seen], street: Path, cache_root: Path, tmp_path: Path
) -> None:
    """After one step the focus begins: the same weights have the same losses with it and without."""
    seen = Seen()
    focus = {"every": 1, "steps": 1, "weight": 5.0}
    config = small_config(street, cache_root, tmp_path / "focus", schedule={"focus": focus})
    train(config, watcher=seen, stop=stop_after(2))
    state = load_state(tmp_path / "focus" / "state.safetensors")["plan"]
    assert state["focused"]
    for head, value in watched[1].steps[1].losses.items():
        assert seen.steps[1].losses[head] == pytest.approx(value)
        before = watched[1].steps[0].losses[head]
        assert state["mean"][head] == pytest.approx(0.98 * before + 0.02 * value)


def test_accumulated_parts_teach_what_the_whole_batch_teaches(
    watched: tuple[TrainConfig, Seen], street: Path, cache_root: Path, tmp_path: Path
) -> None:
    """Not to the bit: batch norms see parts. Both must learn, from the same samples."""
    seen = Seen()
    schedule = {"accumulate": 2, "steps": 2, "warmup_steps": 1}
    train(small_config(street, cache_root, tmp_path / "parts", schedule=schedule), watcher=seen)
    for head, value in watched[1].steps[0].losses.items():
        assert seen.steps[0].losses[head] == pytest.approx(value, rel=0.25, abs=0.25)


def test_distilling_from_itself_changes_nothing_at_first(
    whole: TrainConfig, street: Path, cache_root: Path, tmp_path: Path
) -> None:
    checkpoint = whole.run.out / "last.safetensors"
    schedule = {"steps": 1, "warmup_steps": 0}
    losses = []
    for name, distill in (("plain", None), ("distilled", {"checkpoint": str(checkpoint), "weight": 2.0})):
        seen = Seen()
        transfer = {"checkpoint": str(checkpoint), "keep_stats": True, "distill": distill}
        train(
            small_config(street, cache_root, tmp_path / name, transfer=transfer, schedule=schedule),
            watcher=seen,
        )
        losses.append(seen.steps[0].losses)
        assert any("tensors taken over" in text for text in seen.texts)
    for head in losses[0]:
        assert losses[1][head] >= losses[0][head] - 1e-5


def test_faults_of_losses_and_balancing_are_found_before_anything_is_decoded(
    street: Path, tmp_path: Path
) -> None:
    sections = {"balancing": {"method": "pcgard"}, "losses": {"giou": 1}}
    with pytest.raises(ConfigError) as caught:
        train(small_config(street, tmp_path / "cache", tmp_path / "run", **sections))
    assert len(caught.value.errors) == 2
    assert not list(tmp_path.iterdir())


def test_events_hold_what_the_journal_holds(
    street: Path, cache_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(
        sys.modules, "boto3", None
    )  # for files in S3; it takes longer to import than the rest
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    schedule = {"steps": 2, "warmup_steps": 1}
    config = small_config(street, cache_root, tmp_path / "run", run={"tensorboard": True}, schedule=schedule)
    train(config)
    events = accumulator.EventAccumulator(str(config.run.out / "events"))
    events.Reload()
    (line,) = [line for line in read_journal(config.run.out) if line["kind"] == "train"]
    (scalar,) = events.Scalars("train/loss/class")
    assert scalar.step == 2
    assert scalar.value == pytest.approx(line["loss/class"], rel=1e-5)
    assert events.Scalars("validate/joint")


def test_the_final_report_is_an_evaluation(street: Path, cache_root: Path, tmp_path: Path) -> None:
    config = small_config(
        street,
        cache_root,
        tmp_path / "run",
        data={"complete_classes": {street.name: ["vehicle"]}},
        run={"evaluate": True},
        schedule={"steps": 1, "warmup_steps": 0},
    )
    seen = Seen()
    finished = train(config, watcher=seen)
    assert sum("without a calibration" in text for text in seen.texts) == 1  # no log is named for it
    report = json.loads((config.run.out / "report.json").read_text())
    assert report["schema"] == "perception.evaluate/1"
    assert report["logs"][0]["frames"] == 30
    confusion = report["heads"]["class"]["confusion"]["details"]
    false_alarms = dict(zip(confusion["labels"], confusion["matrix"][-1], strict=True))
    assert not [label for label, count in false_alarms.items() if count and label != "vehicle"]
    assert finished.scores["joint"] == pytest.approx(
        report["heads"]["joint"]["joint"]["values"]["joint"]["value"]
    )


def test_the_final_report_is_on_the_samples_that_were_held_out(
    street: Path, cache_root: Path, tmp_path: Path
) -> None:
    """Of the first two of three seconds the last half."""
    config = small_config(
        street,
        cache_root,
        tmp_path / "run",
        data={"validate": [], "validate_last": 0.5, "end_s": 2.0, "validate_samples": 400},
        run={"evaluate": True},
        schedule={"steps": 1, "warmup_steps": 0},
    )
    train(config)
    held_out = len(open_validation(config))
    report = json.loads((config.run.out / "report.json").read_text())
    assert report["logs"][0]["frames"] == held_out
    assert 8 < held_out < 12


@pytest.mark.parametrize("kind", ["rendered", "silhouettes"])
def test_objects_with_outlines_are_pasted_into_pictures(
    kind: str, street: Path, cache_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Train on the same grey pictures without and with such objects: only these have boxes to learn."""
    disc = Cutting(0, np.full((20, 20, 3), 250, np.uint8), np.ones((20, 20), np.float32))
    monkeypatch.setattr(run_module, "cut_silhouettes", lambda dataset, seed: [[disc]])
    grey = tmp_path / "grey.png"
    cv2.imwrite(str(grey), np.repeat(np.arange(60, 124, dtype=np.uint8), 128 * 3).reshape(64, 128, 3))
    write_picture_log(tmp_path / "pictures.mcap", [LabelledPicture(grey, [])] * 4)
    monkeypatch.setattr(run_module, "CUTOUTS", 3)
    losses = []
    for share in (0.0, 1.0):
        config = small_config(
            tmp_path / "pictures.mcap",
            cache_root,
            tmp_path / f"run{share:g}",
            data={"train": [str(tmp_path / "pictures.mcap")], "validate": [str(street)]},
            augment={"pictures": {"paste": 1.0, kind: share}},
            schedule={"steps": 2, "warmup_steps": 1},
        )
        seen = Seen()
        train(config, watcher=seen)
        losses.append(max(report.losses["box"] for report in seen.steps))
    assert losses[0] == 0
    assert losses[1] > 0


def test_a_missing_renderer_is_named_before_logs_are_read(
    street: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mujoco", None)
    config = small_config(street, tmp_path / "cache", tmp_path / "run", augment={"pictures": {"rendered": 1}})
    with pytest.raises(MissingExtraError, match="sim"):
        train(config)
    assert not (tmp_path / "cache").exists()
