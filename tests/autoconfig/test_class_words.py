"""Class words of data sets are mapped to the classes of a model where the meaning is clear."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.autoconfig.class_words import class_mapping, mapping_text
from perception.config import parse_config
from perception.config.safe_yaml import parse_yaml
from perception.evaluation.score_warnings import foreign_words

OURS = ("person", "vehicle", "cyclist", "cone", "barrel")


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("Car", "vehicle"),
        ("Pickup Truck", "vehicle"),
        ("vehicle.car", "vehicle"),
        ("human.pedestrian.adult", "person"),
        ("Pedestrian with Object", "person"),
        ("TrafficCones", "cone"),
        ("bus", "vehicle"),
        ("Cyclist", "cyclist"),
        ("Bicycle", "cyclist"),
        ("Towed Object", None),
        ("Animals - Other", None),
        ("", None),
    ],
)
def test_words_of_data_sets(word: str, name: str | None) -> None:
    assert class_mapping([word], OURS).get(word) == name


def test_a_class_of_the_same_word_goes_first_and_several_are_not_guessed() -> None:
    assert class_mapping(["Pickup Truck"], ["car", "truck"]) == {"Pickup Truck": "truck"}
    assert class_mapping(["van"], ["car", "truck"]) == {}


CLASSES = st.lists(st.sampled_from([*OURS, "car", "bus"]), unique=True)


@given(st.lists(st.text(max_size=12), max_size=6), CLASSES)
def test_a_mapping_names_only_classes_of_the_model(words: list[str], classes: list[str]) -> None:
    mapping = class_mapping(words, classes)
    assert set(mapping) <= set(words)
    assert set(mapping.values()) <= set(classes)


WORDS = ["Car", "Pedestrian", "vehicle.car", "on: bus", 'Pick "up truck', "human"]


@given(st.lists(st.sampled_from(WORDS), min_size=1))
def test_the_text_to_paste_is_the_mapping(words: list[str]) -> None:
    mapping = class_mapping(words, OURS)
    assert parse_config({"truth": parse_yaml(mapping_text(mapping))}).truth.classes == mapping


def test_the_example_of_the_hint_is_right() -> None:
    text = foreign_words(OURS, ["Car", "Pedestrian"])
    assert text.endswith("under truth: classes: {Car: vehicle, Pedestrian: person}")


@pytest.mark.parametrize(
    ("words", "mapping"),
    [
        (["Car", "person"], "{Car: vehicle, person: person}"),
        (["moose", "cone"], "{moose: CLASS, cone: cone}"),
    ],
)
def test_the_hint_keeps_the_words_that_are_classes(words: list[str], mapping: str) -> None:
    """Words that a mapping does not list are dropped."""
    assert foreign_words(OURS, words).endswith(f"under truth: classes: {mapping}")
