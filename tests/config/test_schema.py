"""The configuration: right ones are read and written back the same, wrong ones name every fault at once."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from perception.config import Config, load_config, parse_config, to_yaml
from perception.config.safe_yaml import MAX_BYTES, parse_yaml
from perception.errors import ConfigError

FULL = """
version: 1
reference: camera
sensors:
  camera: {topic: /camera/image, calibration: /camera/calibration, transforms: [/tf]}
  range:  {topic: /scan, policy: nearest, tolerance_ms: 60, max_age_ms: 200, max_range_m: 30}
  status: {topic: /vehicle/state, fields: {speed: speed, yaw_rate: yaw_rate}, steps: 16, rate_hz: 20}
truth:  {boxes: /annotations/cuboids, control: /vehicle/control, classes: {Car: vehicle}}
plugin: {name: fusion, checkpoint: null, options: {}}
engine: {backend: auto, precision: auto, batch: 1}
"""


def faults_of(data: object) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        parse_config(data)
    return caught.value.errors


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "config.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_the_example_of_the_documentation_is_read(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, FULL))
    assert config.sensors.camera is not None
    assert config.sensors.camera.transforms == ("/tf",)
    assert config.sensors.range is not None
    assert config.sensors.range.max_range_m == 30.0
    assert config.roles() == {
        "/camera/image": "camera",
        "/camera/calibration": "calibration",
        "/tf": "transforms",
        "/scan": "range",
        "/vehicle/state": "status",
        "/annotations/cuboids": "truth_boxes",
        "/vehicle/control": "truth_control",
    }


def test_every_fault_is_named_at_once_with_its_path_and_the_nearest_name() -> None:
    faults = faults_of(
        {
            "version": 2,
            "referense": "camera",
            "sensors": {
                "camera": {"topik": "/a"},
                "range": {"topic": "/scan", "policy": "nearst", "tolerance_ms": -1},
                "status": {"topic": "/scan", "fields": {}, "steps": 0, "rate_hz": "fast"},
            },
            "engine": {"backend": "torc", "batch": True},
        }
    )
    text = "\n".join(faults)
    for expected in (
        "version: ",
        "referense: unknown key, did you mean reference?",
        "sensors.camera.topic: missing",
        "sensors.camera.topik: unknown key, did you mean topic?",
        "sensors.range.policy: Input should be 'latest' or 'nearest', found 'nearst', did you mean nearest?",
        "sensors.range.tolerance_ms: ",
        "sensors.status.fields: ",
        "sensors.status.steps: ",
        "sensors.status.rate_hz: ",
        "sensors.status.topic: topic /scan is already used by sensors.range.topic",
        "engine.backend: ",
        "engine.batch: expected a number, found true",
    ):
        assert expected in text, expected
    assert len(faults) == 12
    assert faults == tuple(sorted(faults))


def test_a_value_in_place_of_a_section_and_a_key_in_the_wrong_one_are_told_in_words_of_the_file() -> None:
    sensors = {"camera": "/image", "range": {"topic": "/scan", "wait_ms": 50}}
    faults = faults_of({"reference": "range", "sensors": sensors, "truth": []})
    assert faults == (
        "sensors.camera: expected {key: value, ...}, found '/image'",
        "sensors.range.wait_ms: unknown key; wait_ms stands outside, beside version",
        "truth: expected {key: value, ...}, found []",
    )


def test_all_topics_used_twice_are_named_and_a_wrong_reference_too() -> None:
    status = {"topic": "/a", "fields": {"speed": "v"}}
    faults = faults_of(
        {
            "reference": "camera",
            "sensors": {"range": {"topic": "/a"}, "status": status},
            "truth": {"boxes": "/a", "control": "/b"},
        }
    )
    assert faults == (
        "reference: is camera, but sensors.camera is not configured; "
        "expected one of those that are: range, status",
        "sensors.status.topic: topic /a is already used by sensors.range.topic",
        "truth.boxes: topic /a is already used by sensors.range.topic",
    )


def test_status_and_control_truth_may_come_from_one_topic_and_boxes_may_not() -> None:
    sensors = {"status": {"topic": "/vehicle/control", "fields": {"speed": "speed"}}}
    config = parse_config(
        {"reference": "status", "sensors": sensors, "truth": {"control": "/vehicle/control"}}
    )
    assert config.roles() == {"/vehicle/control": "status"}
    assert config.truth.stamped_ahead_ns == 0, "a status message holds the values of its own stamp"
    assert config.truth.control_shift_ns == 500_000_000
    said = {"control": "/vehicle/control", "control_stamped_ahead_ms": 200}
    told = parse_config({"reference": "status", "sensors": sensors, "truth": said})
    assert told.truth.stamped_ahead_ns == 200_000_000
    again = parse_config(yaml.safe_load(to_yaml(config)))
    assert again == config
    faults = faults_of({"reference": "status", "sensors": sensors, "truth": {"boxes": "/vehicle/control"}})
    assert faults == ("truth.boxes: topic /vehicle/control is already used by sensors.status.topic",)


def test_the_error_names_its_file_and_counts() -> None:
    line = "wait: unknown key, did you mean wait_ms\\?"
    with pytest.raises(ConfigError, match=rf"^1 error in the configuration my.yaml:\n  {line}$"):
        parse_config({"wait": 3}, "my.yaml")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "expected a mapping that starts with 'version: 1', found an empty file"),
        ("- a\n- b\n", "expected a mapping that starts with 'version: 1', found list"),
        ("sensors: {camera: {topic: /a", "is not YAML: "),
        ("a: !!python/object/apply:os.system ['touch hacked']", "could not determine a constructor"),
        ("a: &x [1, 2]\nb: *x\n", "aliases (*name) are not allowed"),
        ("version: 1\nversion: 1\n", "the key 'version' is given twice"),
        ("[" * 5000, "nested too deeply"),
        (b"\xff\xfe\x00\x00", "is not"),
        (b"\x00\x01", "is not text"),
        (b"# " + b"x" * MAX_BYTES, "larger than 1 MiB"),
    ],
)
def test_what_is_not_a_configuration_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | bytes, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, text))
    assert says in str(caught.value)
    assert "config.yaml" in str(caught.value)
    assert not (tmp_path / "hacked").exists()


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_config(tmp_path / "none.yaml")


def test_a_yaml_bomb_is_refused_before_it_unfolds() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)]
    with pytest.raises(ValueError, match="aliases"):
        parse_yaml("\n".join(lines))


def test_a_long_wrong_value_is_shortened_in_the_message() -> None:
    (fault,) = faults_of({"sensors": {"camera": {"topic": ["x" * 1000] * 1000}}})
    assert fault.startswith("sensors.camera.topic: ")
    assert len(fault) < 400


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "version",
                        "reference",
                        "sensors",
                        "camera",
                        "range",
                        "status",
                        "topic",
                        "fields",
                        "truth",
                        "transforms",
                    ]
                )
                | st.integers()
                | st.text(max_size=4),
                inner,
                max_size=4,
            )
        ),
        max_leaves=20,
    )
)
def test_any_data_gives_a_configuration_or_a_config_error(data: object) -> None:
    with contextlib.suppress(ConfigError):  # any other exception fails
        assert parse_config(parse_yaml(to_yaml(parse_config(data)))) == parse_config(data)


topics = st.text("abcdefgh/_ :#'\"é", min_size=1, max_size=12)
positive = st.floats(1e-3, 1e6)


@st.composite
def configs(draw: st.DrawFn) -> Config:
    names = draw(st.lists(topics, min_size=7, max_size=7, unique=True))
    chosen = draw(st.sets(st.sampled_from(["camera", "range", "status"]), min_size=1))
    sensors: dict[str, Any] = {}
    if "camera" in chosen:
        sensors["camera"] = {"topic": names[0], "calibration": names[1], "transforms": [names[2]]}
    if "range" in chosen:
        sensors["range"] = {"topic": names[3], "max_range_m": draw(positive)}
    if "status" in chosen:
        fields = draw(st.dictionaries(topics, topics, min_size=1, max_size=3))
        sensors["status"] = {"topic": names[4], "fields": fields, "steps": draw(st.integers(1, 1024))}
    return parse_config(
        {
            "reference": draw(st.sampled_from(sorted(chosen))),
            "reference_rate_hz": draw(st.none() | positive),
            "wait_ms": draw(st.floats(0, 1000)),
            "sensors": sensors,
            "truth": {"boxes": names[5], "classes": draw(st.dictionaries(topics, topics, max_size=2))},
            "plugin": {
                "name": draw(topics),
                "checkpoint": draw(st.none() | st.just("weights/a.safetensors")),
            },
            "engine": {"batch": draw(st.integers(1, 256)), "seed": draw(st.integers(0, 2**63 - 1))},
        }
    )


@given(configs())
def test_a_configuration_survives_being_written_and_read(config: Config) -> None:
    assert parse_config(parse_yaml(to_yaml(config))) == config


def test_yaml_leaves_out_what_is_at_its_default() -> None:
    config = parse_config({"sensors": {"camera": {"topic": "/image"}}})
    assert yaml.safe_load(to_yaml(config)) == {
        "version": 1,
        "reference": "camera",
        "sensors": {"camera": {"topic": "/image"}},
    }


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("fields: {on: a}", "'on'"),
        ("classes: {1: vehicle}", "'1'"),
        ("classes: {010: vehicle}", "'010'"),
        ("~: a", "'~'"),
        ("2024-01-01: a", "'2024-01-01'"),
        ("1.5: a", "'1.5'"),
        ("a: {b: [{No: 1}]}", "'No'"),
        ("batch: 010", "'010'"),
        ("wait_ms: -0_7", "'-0_7'"),
        ("start: 1:30", "'1:30'"),
    ],
)
def test_what_yaml_reads_otherwise_has_to_stand_in_quotes(text: str, word: str) -> None:
    with pytest.raises(ValueError, match=f"line 1: .*put it in quotes: {word}$"):
        parse_yaml(text)
    quoted = text.replace(word.strip("'"), word)
    assert word.strip("'") in str(parse_yaml(quoted))


@pytest.mark.parametrize("text", ["a: 0", "a: -7", "a: 10", "a: 0.5", "a: 0x1f", "a: 1_000", "a: 1e3"])
def test_usual_numbers_are_numbers(text: str) -> None:
    assert parse_yaml(text) == yaml.safe_load(text)


@pytest.mark.parametrize("value", [True, 3, 2.5])
def test_a_topic_that_yaml_reads_as_no_text_is_to_be_quoted(value: object) -> None:
    (error,) = faults_of({"sensors": {"camera": {"topic": value}}})
    assert error == f"sensors.camera.topic: expected text, found {value}; put it in quotes"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("reference_rate_hz",), 1e10),
        (("reference_rate_hz",), 1e-9),
        (("wait_ms",), 1e12),
        (("sensors", "range", "tolerance_ms"), 1e300),
        (("sensors", "range", "max_age_ms"), 1e30),
        (("sensors", "range", "max_range_m"), 1e30),
        (("sensors", "status", "rate_hz"), 1e10),
        (("sensors", "status", "rate_hz"), 1e-300),
        (("sensors", "camera", "max_age_ms"), 1e19),
    ],
)
def test_rates_durations_and_distances_have_bounds(path: tuple[str, ...], value: float) -> None:
    data = yaml.safe_load(FULL)
    section = data
    for key in path[:-1]:
        section = section[key]
    section[path[-1]] = value
    (error,) = faults_of(data)
    assert error.startswith(".".join(path) + ": Input should be")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_numbers_are_refused(value: float) -> None:
    (fault,) = faults_of({"sensors": {"range": {"topic": "/a", "max_range_m": value}}, "reference": "range"})
    assert fault.startswith("sensors.range.max_range_m: ")


def test_a_configuration_cannot_be_changed() -> None:
    config = parse_config(yaml.safe_load(FULL))
    with pytest.raises(ValueError, match="frozen"):
        config.reference = "range"  # type: ignore[misc]
