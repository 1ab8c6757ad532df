"""The views of the cameras: a sample with several cameras is one row of a batch for each of them.

A view is a sample with one camera, and the rig as that camera sees it; the other sensors are the same in all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

from perception.text import without_names
from perception.types.inputs import Input, first_present
from perception.types.messages import RangeScan
from perception.types.outputs import Head, Output
from perception.types.rig import Rig
from perception.types.samples import Sample
from perception.types.truth_frame import TruthFrame

H = TypeVar("H", bound=Head)


class CameraRow(NamedTuple):
    """What one camera contributes to a tick: control, further heads and their truth in one view only."""

    camera: str
    sample: Sample
    output: Output
    truth: TruthFrame | None = None


def views_of(sample: Sample) -> tuple[Sample, ...]:
    """Return the view of each camera, in the order of the configuration; of one camera, the sample itself."""
    if len(sample.cameras) < 2:
        return (sample,)
    return tuple(view_of(sample, name) for name in sample.cameras)


def view_of(sample: Sample, camera: str) -> Sample:
    """Return the sample as one of its cameras sees it.

    Returns that the rig does not place are absent: nothing says where they lie for this camera.
    """
    if len(sample.cameras) < 2:
        return sample
    placing = sample.placings[camera]
    rig, source = placing.rig, sample.cameras[camera]
    ranges = {name: _placed(scan, rig, camera) for name, scan in sample.ranges.items()}
    return replace(
        sample,
        camera=source,
        range=first_present(ranges),
        rig=rig,
        issues=placing.issues,
        cameras={},
        ranges=ranges,
        placings={},
    )


def _placed(source: Input[RangeScan], rig: Rig, camera: str) -> Input[RangeScan]:
    scan = source.value
    if scan is None or rig.camera_from(scan.frame_id, scan.stamp_ns) is not None:
        return source
    obstacle = rig.obstacle(scan.frame_id)
    text = "unknown" if obstacle is None else obstacle.of_camera(camera).text
    return source.absent(f"not placed in the image: {text}")


def joined_sample(sample: Sample, views: Sequence[Sample]) -> Sample:
    """Return a sample with the inputs that the views of it found unusable absent.

    A range sensor is absent where it is in every view: the returns of one may be in the picture of another.
    """
    if len(views) < 2:
        return views[0]
    cameras = {view.camera.name: view.camera for view in views}
    ranges: dict[str, Input[Any]] = {
        name: first_present({str(k): view.ranges[name] for k, view in enumerate(views)})
        for name in sample.ranges
    }
    return replace(
        sample,
        camera=cameras[sample.camera.name],
        range=first_present(ranges),
        status=views[0].status,
        cameras=cameras,
        ranges=ranges,
        statuses=views[0].statuses,
    )


def joined_output(sample: Sample, outputs: Mapping[str, Output], control: str | None = None) -> Output:
    """Return the output of a tick from those of its views; of one camera, its output.

    Args:
        sample: Of the tick.
        outputs: Camera -> the output of its view.
        control: The camera whose view gives control and further heads; None: the reference camera.
    """
    reference = sample.camera.name
    if len(sample.cameras) < 2:
        return outputs[reference]
    of_control = outputs[control or reference]
    cameras = {name: output.detections for name, output in outputs.items() if output.detections is not None}
    return Output(
        sample.tick,
        outputs[reference].detections,
        of_control.control,
        _joined_warnings(outputs),
        of_control.extra,
        cameras,
    )


def _joined_warnings(outputs: Mapping[str, Output]) -> dict[str, str]:
    """Return the warnings of all views; a text that not all of them share names its cameras.

    Texts that differ in names alone (`without_names`) are one, with those of the first.
    """
    texts: dict[str, dict[str, tuple[str, list[str]]]] = {}
    for name, output in outputs.items():
        for code, text in output.warnings.items():
            texts.setdefault(code, {}).setdefault(without_names(text), (text, []))[1].append(name)
    return {
        code: "; ".join(
            text if _is_shared(code, text, outputs) else f"{', '.join(names)}: {text}"
            for text, names in by_text.values()
        )
        for code, by_text in texts.items()
    }


def _is_shared(code: str, text: str, outputs: Mapping[str, Output]) -> bool:
    return all(output.warnings.get(code) == text for output in outputs.values())


def camera_views(sample: Sample, output: Output, truth: TruthFrame | None = None) -> Iterator[CameraRow]:
    """Yield the sample, output and truth of each camera, as those of a log with that camera alone.

    Control, further heads and their truth are in the view of the reference camera only.
    """
    for name, own, known in output_views(sample, output, truth):
        yield CameraRow(name, view_of(sample, name), own, known)


def output_views(
    sample: Sample, output: Output, truth: TruthFrame | None = None
) -> Iterator[tuple[str, Output, TruthFrame | None]]:
    """Yield camera, output and truth of each camera, as `camera_views` does, without the sample."""
    reference = sample.camera.name
    if len(sample.cameras) < 2:
        yield reference, output, truth
        return
    for name in sample.cameras:
        detections = output.cameras.get(name)
        if name == reference:
            own = replace(output, detections=detections, cameras={})
        else:
            own = Output(output.tick, detections, None)
        yield name, own, truth_view(truth, name, whole=name == reference)


def truth_view(truth: TruthFrame | None, camera: str, whole: bool) -> TruthFrame | None:
    """Return the truth of one camera: its boxes, and with `whole` also that of control and further heads."""
    if truth is None or not truth.cameras:
        return truth
    own = truth.cameras.get(camera, TruthFrame(truth.stamp_ns))
    if not whole:
        return own
    missing = {head: issue for head, issue in truth.missing.items() if head != "boxes"}
    return replace(truth, boxes=own.boxes, missing={**own.missing, **missing}, cameras={}, rig=own.rig)


def named_output(output: Output, view: Sample) -> Output:
    """Return an output whose heads rest on sensors: the name of a kind stands for those that are present."""
    if all(source.name == source.kind for source in view.sensors):
        return output
    detections, control = output.detections, output.control
    return replace(
        output,
        detections=None if detections is None else _with_sensor_names(detections, view),
        control=None if control is None else _with_sensor_names(control, view),
        extra={name: _with_sensor_names(head, view) for name, head in output.extra.items()},
    )


def _with_sensor_names(head: H, view: Sample) -> H:
    known = {source.name for source in view.sensors}
    names: list[str] = []
    for name in head.based_on:
        of_kind = [source.name for source in view.sensors if source.kind == name and source.present]
        names += [name] if name in known or not of_kind else of_kind
    based_on = tuple(dict.fromkeys(names))
    return head if based_on == head.based_on else replace(head, based_on=based_on)
