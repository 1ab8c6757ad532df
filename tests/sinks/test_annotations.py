"""Boxes and words as viewers draw them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from foxglove_schemas_protobuf.ImageAnnotations_pb2 import ImageAnnotations
from foxglove_schemas_protobuf.PointsAnnotation_pb2 import PointsAnnotation
from google.protobuf.json_format import MessageToDict

from perception.sinks import RunInfo
from perception.sinks.annotations import SCHEMA, encode_annotations
from perception.sinks.palette import CYCLE, SKY, VERMILION, YELLOW
from perception.types import Detection, Detections, Input, Output, invalid_output
from tests.sinks.build import START_NS, output_of, sample_of, tick_of

RUN = RunInfo(classes=("car", "person"))


def decoded(*args: Any, **options: Any) -> Any:
    return ImageAnnotations.FromString(encode_annotations(*args, **options))


def rgb(colour: Any) -> tuple[int, ...]:
    assert colour.a == 1.0
    return tuple(round(255 * c) for c in (colour.r, colour.g, colour.b))


def test_golden_message() -> None:
    """Every field of one box, as a viewer reads it: 320 x 240 px, so the smallest font, 10 px."""
    output = output_of(0)
    assert output.detections is not None
    one = replace(output, detections=replace(output.detections, items=output.detections.items[:1]))
    stamp = "2023-11-14T22:13:20.123456789Z"
    sky = {"r": 86 / 255, "g": 180 / 255, "b": 233 / 255, "a": 1.0}
    found = MessageToDict(decoded(sample_of(0), one, RUN), preserving_proto_field_name=True)
    expected_points = [
        {"x": 40.0, "y": 60.0},
        {"x": 120.0, "y": 60.0},
        {"x": 120.0, "y": 160.0},
        {"x": 40.0, "y": 160.0},
    ]
    assert found["points"] == [
        {
            "timestamp": stamp,
            "type": "LINE_LOOP",
            "points": expected_points,
            "outline_color": sky,
            "thickness": 2.0,
        }
    ]
    assert found["texts"] == [
        {
            "timestamp": stamp,
            "position": {"x": 40.0, "y": 57.5},
            "text": "car 0.90 · 12.5 ±0.8 m",
            "font_size": 10.0,
            "text_color": {"a": 1.0},
            "background_color": sky,
        }
    ]


def test_stamp_is_that_of_the_image_so_that_viewers_match_them() -> None:
    sample = sample_of(3)
    older = START_NS + 5
    frame = replace(sample.camera.value, stamp_ns=older)
    sample = replace(sample, camera=Input("camera", "/camera/image", frame, older, 300.0))
    message = decoded(sample, output_of(3), RUN)
    stamps = [
        message.timestamp,
        *(p.timestamp for p in message.points),
        *(t.timestamp for t in message.texts),
    ]
    assert {stamp.ToNanoseconds() for stamp in stamps} == {older}


def test_without_an_image_the_stamp_is_the_tick() -> None:
    message = decoded(sample_of(2, "substitute"), output_of(2, "substitute"), RUN)
    assert message.points[0].timestamp.ToNanoseconds() == tick_of(2).stamp_ns


def test_surest_detection_is_drawn_last_and_low_scores_are_not() -> None:
    message = decoded(sample_of(0), output_of(0), RUN, min_score=0.3)
    assert [rgb(p.outline_color) for p in message.points] == [YELLOW, SKY]
    assert [t.text for t in message.texts] == ["person 0.60 · 7.0 ±0.5 m", "car 0.90 · 12.5 ±0.8 m"]
    assert all(p.type == PointsAnnotation.LINE_LOOP for p in message.points)
    assert len(decoded(sample_of(0), output_of(0), RUN).points) == 3


@pytest.mark.parametrize("heads", [("class", "box"), ("control",), ("class", "box", "control")])
def test_invalid_heads_are_said_and_draw_no_boxes(heads: tuple[str, ...]) -> None:
    message = decoded(sample_of(0), invalid_output(tick_of(0), heads, "ValueError: no"), RUN)
    assert not message.points
    words = [t.text for t in message.texts]
    wanted = {"class": "DETECTIONS INVALID: ValueError: no", "control": "CONTROL INVALID: ValueError: no"}
    assert words == [wanted[head] for head in heads if head in wanted]
    assert {rgb(t.background_color) for t in message.texts} == {VERMILION}


def test_untrained_weights_are_said() -> None:
    message = decoded(sample_of(0), output_of(0), replace(RUN, untrained=True))
    assert message.texts[-1].text == "UNTRAINED WEIGHTS"


def test_no_detections_clear_what_was_drawn_before() -> None:
    message = decoded(sample_of(0), Output(tick_of(0), Detections(True), None), RUN)
    assert not message.points
    assert not message.texts
    assert message.timestamp.ToNanoseconds() == tick_of(0).stamp_ns


@pytest.mark.parametrize(
    ("distance", "std", "words"),
    [
        (12.345, 0.66, "car 0.50 · 12.3 ±0.7 m"),
        (123.4, 5.6, "car 0.50 · 123 ±6 m"),
        (4.0, 0.0, "car 0.50 · 4.0 m"),
        (4.0, float("nan"), "car 0.50 · 4.0 m"),
        (float("nan"), 1.0, "car 0.50"),
        (float("inf"), 1.0, "car 0.50"),
    ],
)
def test_captions_say_only_what_is_known(distance: float, std: float, words: str) -> None:
    item = Detection("car", 0.5, (1, 1, 20, 20), (0,) * 4, distance, std)
    message = decoded(sample_of(0), Output(tick_of(0), Detections(True, items=(item,)), None), RUN)
    assert [t.text for t in message.texts] == [words]


def test_boxes_without_a_place_are_left_out() -> None:
    item = Detection("car", 0.5, (1, float("nan"), 20, 20), (0,) * 4, 3.0, 1.0)
    assert not decoded(sample_of(0), Output(tick_of(0), Detections(True, items=(item,)), None), RUN).points


def test_schema_is_whole_and_the_same_each_time() -> None:
    from google.protobuf import descriptor_pb2, descriptor_pool
    from mcap_protobuf.schema import build_file_descriptor_set

    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(SCHEMA.data).file:
        pool.Add(file)  # fails where an import is missing or comes too late
    assert pool.FindMessageTypeByName("foxglove.ImageAnnotations").fields_by_name["points"]
    assert build_file_descriptor_set(ImageAnnotations).SerializeToString(deterministic=True) == SCHEMA.data


def test_colours_do_not_depend_on_what_was_seen() -> None:
    items = tuple(
        Detection(label, 0.9, (0, 0, 9, 9), (0,) * 4, 1.0, 0.1) for label in ("zebra", "tram", "zebra")
    )
    run = RunInfo()
    message = decoded(sample_of(0), Output(tick_of(0), Detections(True, items=items), None), run)
    alone = decoded(sample_of(0), Output(tick_of(0), Detections(True, items=items[2:]), None), run)
    assert rgb(message.points[0].outline_color) == rgb(alone.points[0].outline_color) in CYCLE
