"""The cache holds what a replay would see, and is made anew when anything it rests on changes."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from perception.config import parse_config
from perception.config.safe_yaml import parse_yaml
from perception.errors import ConfigError, LogError, OutputError
from perception.logs import open_log
from perception.logs.perception_proto import decode_truth, encode_truth
from perception.models.preprocess import BESIDE, prepare_inputs
from perception.training.data import cache_spec, cache_writer
from perception.training.data.augmentation import too_hard
from perception.training.data.cache_spec import CacheSpec
from perception.training.data.cache_writer import samples_with_truth
from perception.training.data.dataset import Dataset
from perception.training.data.sample_cache import CachedLog, cached_log, find_logs
from perception.training.data.splits import report_missing_truth
from perception.training.data.training_sample import IGNORED_FOR_CLASS
from perception.training.loop.observer import Watcher
from perception.training.validation import truth_of
from perception.types import TruthBox
from tests.logs.ros_bags import write_ros2
from tests.scripted_scene import Row, write_scene


def folders(root: Path) -> set[str]:
    return {path.name for path in root.iterdir()}


def test_cached_samples_are_those_of_a_replay(street: Path, recipe: CacheSpec, cached: CachedLog) -> None:
    with open_log(street) as log:
        pairs = list(samples_with_truth(log, recipe.config_for(log)))
    assert len(pairs) == len(cached) == 30
    for index, (sample, truth) in enumerate(pairs):
        _, inputs = prepare_inputs(sample, recipe.spec)
        example = cached.sample(index)
        for mine, theirs in zip(example.inputs, inputs, strict=True):
            np.testing.assert_array_equal(mine, theirs)
        assert truth.boxes is not None
        assert truth.control is not None
        assert [recipe.model.classes[i] for i in example.truth.labels] == [box.label for box in truth.boxes]
        expected = np.array([box.xyxy for box in truth.boxes]).reshape(-1, 4) / 4  # 512x256 seen as 128x64
        np.testing.assert_allclose(example.truth.boxes, expected, rtol=1e-6)
        np.testing.assert_allclose(example.truth.control, list(truth.control.values()), rtol=1e-6)


def test_logs_are_read_with_returns_as_far_as_the_weights_use_them(street: Path, recipe: CacheSpec) -> None:
    """Scores with this configuration use the returns that training used, as in `adapt`."""
    far = replace(recipe, spec=replace(recipe.spec, max_range_m=80.0))
    with open_log(street) as log:
        assert [part.max_range_m for part in far.config_for(log).sensors.ranges.values()] == [80.0]
        named = replace(far, config=recipe.config_for(log))
        assert [part.max_range_m for part in named.config_for(log).sensors.ranges.values()] == [30.0]


@pytest.mark.parametrize("height", [32, 512])
def test_images_are_stored_as_the_log_has_them_unless_the_model_takes_fewer_bytes(
    street: Path, recipe: CacheSpec, tmp_path: Path, height: int
) -> None:
    spec = replace(recipe, spec=replace(recipe.spec, height=height, width=2 * height))
    cached = cached_log(street, spec, tmp_path)
    with open_log(street) as log:
        samples = [sample for sample, _ in samples_with_truth(log, spec.config_for(log))]
    recorded = sum(len(sample.camera.value.data) for sample in samples if sample.camera.value)
    stored = (cached.folder / "pictures.bin").stat().st_size
    assert stored <= min(recorded, len(samples) * 3 * height * 2 * height)
    for index, sample in enumerate(samples):
        np.testing.assert_array_equal(
            cached.sample(index).inputs.image, prepare_inputs(sample, spec.spec)[1].image
        )


def test_an_absent_sensor_takes_no_room(recipe: CacheSpec, tmp_path: Path) -> None:
    log = write_scene(tmp_path / "a.mcap", duration_s=1.0)
    config = parse_config(
        {
            "version": 1,
            "sensors": {"camera": {"topic": "/camera/image"}},
            "truth": {"control": "/truth/control"},
        }
    )
    many = replace(recipe, config=config, spec=replace(recipe.spec, returns=4096))
    cached = cached_log(log, many, tmp_path)
    returns = cached.folder / "returns.bin"
    assert returns.stat().st_size == len(cached) * 4096 * 8 * 4
    assert returns.stat().st_blocks * 512 < returns.stat().st_size / 10
    assert not cached.sample(len(cached) - 1).inputs.returns.any()


def test_a_second_asking_decodes_nothing(
    street: Path, recipe: CacheSpec, cached: CachedLog, cache_root: Path
) -> None:
    told: list[int] = []
    again = cached_log(street, recipe, cache_root, lambda log, done, total: told.append(done))
    assert again.folder == cached.folder
    assert not told


def test_another_size_another_log_or_other_code_is_another_cache(
    street: Path, recipe: CacheSpec, cached: CachedLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {cached.folder.name}
    wide = replace(recipe, spec=replace(recipe.spec, max_range_m=10.0))
    found.add(cached_log(street, wide, tmp_path).folder.name)
    longer = write_scene(tmp_path / "street.mcap", seed=4, duration_s=1.0)
    found.add(cached_log(longer, recipe, tmp_path).folder.name)
    monkeypatch.setattr(cache_spec, "sources_sha256", lambda root, patterns: "other")
    found.add(cached_log(longer, recipe, tmp_path).folder.name)
    assert len(found) == 4


def test_a_copy_of_a_log_is_the_same_log(
    street: Path, recipe: CacheSpec, cached: CachedLog, cache_root: Path, tmp_path: Path
) -> None:
    copy = shutil.copy(street, tmp_path / "elsewhere.mcap")
    assert cached_log(Path(copy), recipe, cache_root).folder == cached.folder


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_what_is_interrupted_leaves_nothing_that_looks_finished(
    street: Path, recipe: CacheSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    real, count = cache_writer.prepare_inputs, 0

    def breaks(*given: object) -> object:
        nonlocal count
        count += 1
        if count == 10:
            raise error
        return real(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(cache_writer, "prepare_inputs", breaks)
    expected = OutputError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected) as caught:
        cached_log(street, recipe, tmp_path)
    assert folders(tmp_path) == set()
    if expected is OutputError:
        assert "No space left" in str(caught.value)
        assert "MiB" in str(caught.value)
    monkeypatch.undo()
    assert len(cached_log(street, recipe, tmp_path)) == 30


def test_words_that_the_model_does_not_know_are_counted_and_left_out(
    street: Path, recipe: CacheSpec, tmp_path: Path
) -> None:
    few = replace(recipe, model=replace(recipe.model, classes=("vehicle",)))
    found = cached_log(street, few, tmp_path)
    assert set(found.about["unknown_words"]) == {"person", "cone"} & set(found.about["words"])
    assert all((found.sample(i).truth.labels == 0).all() for i in range(len(found)))
    mapped = replace(few, classes=(("person", "vehicle"), ("cone", "vehicle")))
    assert cached_log(street, mapped, tmp_path).about["boxes"] == sum(found.about["words"].values())


def test_a_word_that_is_named_leaves_the_others_as_they_are(
    street: Path, recipe: CacheSpec, cached: CachedLog, tmp_path: Path
) -> None:
    """The hint names the words that the model does not know alone: the rest is known by itself, or told."""
    words = cached.about["words"]
    assert min(words[name] for name in ("person", "vehicle", "cone")) > 0
    other = replace(recipe, model=replace(recipe.model, classes=("person", "automobile")))
    found = cached_log(street, replace(other, classes=(("vehicle", "automobile"),)), tmp_path)
    assert found.about["words"] == {
        "automobile": words["vehicle"],
        "person": words["person"],
        "cone": words["cone"],
    }
    assert found.about["unknown_words"] == {"cone": words["cone"]}
    assert found.about["boxes"] == words["vehicle"] + words["person"]
    assert found.about["dropped_words"] == []


def test_words_that_a_mapping_of_the_configuration_drops_are_told(
    street: Path, recipe: CacheSpec, tmp_path: Path
) -> None:
    with open_log(street) as log:
        config = recipe.config_for(log)
    truth = config.truth.model_copy(update={"classes": {"van": "vehicle", "cone": "cone"}})
    partly = replace(recipe, config=config.model_copy(update={"truth": truth}))
    found, heard = cached_log(street, partly, tmp_path), list[str]()

    class Hears(Watcher):
        def message(self, text: str) -> None:
            heard.append(text)

    report_missing_truth(Dataset([found], [np.arange(len(found))]), recipe.model.classes, Hears())
    (text,) = [text for text in heard if "truth.classes" in text]
    assert text.startswith("street.mcap: truth.classes does not list person, which")


def test_the_hint_for_class_words_can_be_pasted(street: Path, recipe: CacheSpec, tmp_path: Path) -> None:
    heard: list[str] = []

    class Hears(Watcher):
        def message(self, text: str) -> None:
            heard.append(text)

    shape = replace(recipe.model, classes=("pedestrian", "automobile"))
    left_out = cached_log(street, replace(recipe, model=shape), tmp_path)
    report_missing_truth(Dataset([left_out], [np.arange(len(left_out))]), shape.classes, Hears())
    (hint,) = [text for text in heard if "data.classes=" in text]
    mapping = parse_yaml(hint.partition("data.classes=")[2].rstrip("'"))
    assert {"person": "pedestrian", "vehicle": "automobile"}.items() >= mapping.items()
    pasted = replace(recipe, model=shape, classes=tuple(sorted(mapping.items())))
    assert cached_log(street, pasted, tmp_path).about["boxes"] > 0


def test_truth_that_is_missing_is_unknown_not_nothing(recipe: CacheSpec, tmp_path: Path) -> None:
    blind = cached_log(write_scene(tmp_path / "a.mcap", duration_s=1.0, truth=False), recipe, tmp_path)
    assert not blind.column("boxes_known").any()
    assert np.isnan(blind.column("control")).all()


def test_regions_to_ignore_are_neither_learned_nor_scored(recipe: CacheSpec, tmp_path: Path) -> None:
    def ignored(row: Row) -> list[Row]:
        if row.topic != "/truth/detections":
            return [row]
        stamp_ns, frame_id, boxes = decode_truth(row.payload)
        crowd = [replace(box, label="", ignore=True) for box in boxes]
        return [replace(row, payload=encode_truth(stamp_ns, frame_id, crowd))]

    cached = cached_log(write_scene(tmp_path / "a.mcap", duration_s=1.0, mutate=ignored), recipe, tmp_path)
    samples = [cached.sample(row) for row in range(len(cached))]
    assert sum(len(sample.truth.labels) for sample in samples) == cached.about["boxes"] > 0
    for sample in samples:
        assert too_hard(sample.truth, 0.0, 0.0).all()
        assert all(box.ignore and not box.label for box in truth_of(sample.truth, recipe.model).boxes or ())


def test_boxes_and_pictures_lie_where_the_limits_of_stretching_put_them(
    street: Path, recipe: CacheSpec, cached: CachedLog, tmp_path: Path
) -> None:
    """Of a picture that fills only part of the input."""
    spec = replace(recipe, spec=replace(recipe.spec, width=256, stretch=(1.0, 1.0)))
    wider = cached_log(street, spec, tmp_path)
    area = wider.area(0)
    assert area.left > 10
    row = next(row for row in range(len(cached)) if len(cached.boxes(row)))
    assert area.input_size[0] == pytest.approx(wider.sample(row).truth.source_size[0])
    in_image = [
        log.area(row).to_source(np.reshape(log.boxes(row)["xyxy"], (-1, 2, 2))) for log in (cached, wider)
    ]
    np.testing.assert_allclose(*in_image, atol=1e-3)
    image = wider.sample(row).inputs.image
    assert (image[:, :, : area.left] == BESIDE).all()
    assert (image[:, :, area.left + area.width :] == BESIDE).all()
    assert area.cut(image).std() > 10


def test_a_region_to_ignore_for_one_class_stays_so_and_one_of_a_foreign_class_is_none(
    recipe: CacheSpec, tmp_path: Path
) -> None:
    def ignored(row: Row) -> list[Row]:
        if row.topic != "/truth/detections":
            return [row]
        stamp_ns, frame_id, boxes = decode_truth(row.payload)
        crowd = [replace(box, ignore=True, label=name) for box in boxes for name in (box.label, "ghost")]
        return [replace(row, payload=encode_truth(stamp_ns, frame_id, crowd))]

    cached = cached_log(write_scene(tmp_path / "a.mcap", duration_s=1.0, mutate=ignored), recipe, tmp_path)
    plain = cached_log(write_scene(tmp_path / "b.mcap", duration_s=1.0), recipe, tmp_path)
    assert cached.about["boxes"] == plain.about["boxes"] > 0
    for row in range(len(cached)):
        assert (cached.sample(row).truth.visible == IGNORED_FOR_CLASS).all()
        found = truth_of(cached.sample(row).truth, recipe.model).boxes or ()
        assert all(box.ignore for box in found)
        expected = truth_of(plain.sample(row).truth, recipe.model).boxes or ()
        assert [box.label for box in found] == [box.label for box in expected]


def test_boxes_beside_the_picture_are_not_learned(recipe: CacheSpec, tmp_path: Path) -> None:
    """Two of them lie beside it, one reaches into it."""
    places = ((-60.0, 10.0, -20.0, 40.0), (10.0, 5000.0, 40.0, 5100.0), (-60.0, 10.0, 20.0, 40.0))

    def beside(row: Row) -> list[Row]:
        if row.topic != "/truth/detections":
            return [row]
        stamp_ns, frame_id, _ = decode_truth(row.payload)
        boxes = [TruthBox("vehicle", place, 5.0, 1.0, "") for place in places]
        return [replace(row, payload=encode_truth(stamp_ns, frame_id, boxes))]

    cached = cached_log(write_scene(tmp_path / "a.mcap", duration_s=0.5, mutate=beside), recipe, tmp_path)
    for row in range(len(cached)):
        (box,) = cached.boxes(row)
        assert box["xyxy"][0] < 0 < box["xyxy"][2]


def test_samples_without_truth_are_counted_with_the_reason(recipe: CacheSpec, tmp_path: Path) -> None:
    log = write_scene(tmp_path / "a.mcap", duration_s=1.0)
    config = parse_config(
        {
            "version": 1,
            "sensors": {"camera": {"topic": "/camera/image"}},
            "truth": {"control": "/truth/control", "control_ahead_ms": 900, "control_stamped_ahead_ms": 0},
        }
    )
    cached = cached_log(log, replace(recipe, config=config), tmp_path)
    ((count, reason),) = cached.about["missing_truth"]["control"].values()
    assert count == np.isnan(cached.column("control")).all(1).sum() > 0
    assert "the nearest message on /truth/control is" in reason


def test_an_empty_log_is_refused_in_one_line(recipe: CacheSpec, tmp_path: Path) -> None:
    empty = write_scene(tmp_path / "empty.mcap", duration_s=0.0)
    with pytest.raises(LogError, match="no messages"):
        cached_log(empty, recipe, tmp_path)


def test_logs_are_found_by_file_folder_and_pattern_and_every_wrong_place_is_named(
    street: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    for name in ("b", "a"):
        shutil.copy(street, folder / f"{name}.mcap")
    a, b = folder / "a.mcap", folder / "b.mcap"
    assert find_logs([str(folder)], "train") == [a, b]
    bag = write_ros2(tmp_path / "bag", "MCAP", seconds=0.2)
    assert find_logs([str(bag)], "train") == [bag]
    assert find_logs([str(folder / "*.mcap"), str(a)], "train") == [a, b]
    with pytest.raises(ConfigError) as caught:
        find_logs(["nowhere", str(tmp_path / "x*.mcap")], "train")
    assert len(caught.value.errors) == 2


def test_a_damaged_log_gives_what_can_be_read_and_says_what_is_missing(
    street: Path, recipe: CacheSpec, cached: CachedLog, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(street.read_bytes()[: street.stat().st_size * 2 // 3])
    found = cached_log(cut, recipe, tmp_path / "cache")
    assert 0 < len(found) < len(cached)
    assert "cut off" in found.about["damage"][0]
    assert cached.about["damage"] == []

    class Hears(Watcher):
        def message(self, text: str) -> None:
            heard.append(text)

    heard: list[str] = []
    report_missing_truth(Dataset([found], [np.arange(len(found))]), recipe.model.classes, Hears())
    assert any("cut.mcap is damaged" in text and "cut off" in text for text in heard)
    heard.clear()
    report_missing_truth(Dataset([cached], [np.arange(len(cached))]), recipe.model.classes, Hears())
    assert not any("damaged" in text for text in heard)
