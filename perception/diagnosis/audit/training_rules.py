"""The audit's rules for the distance of a log from the training data of the weights, and for pixels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from perception.config import Config
from perception.diagnosis.audit.audit_finding import RESTS_ON, Finding
from perception.diagnosis.trained_inputs import NOUNS, InputSamples, TrainedInputs, TrainingDistance
from perception.text import plural

LEAST_SCANS = 3
"""Scans from which on it is said that none has a return in the picture."""

UNLIKE = "unlike_training"
"""The code of an input that is unlike those of training: it may be sound, and the model may not."""


def sample_rules(samples: InputSamples, config: Config) -> Iterator[Finding]:
    """Yield pictures that give no pixels, and scans of which no return lies in the picture."""
    ranges = ", ".join(section.topic for section in config.sensors.ranges.values())
    if ranges and samples.placed >= LEAST_SCANS and not samples.in_picture:
        text = (
            f"none of {samples.placed} scans on {ranges} that were tried has a return in the picture: "
            "the camera's frame may not be an optical one (z forward), or the transforms of "
            f"{samples.scan_frame!r} are wrong"
        )
        yield Finding("none_in_picture", "warning", ranges, text, RESTS_ON["range"])
    topic = ", ".join(section.topic for section in config.sensors.cameras.values())
    if samples.unusable:
        reason, _ = samples.unusable.most_common(1)[0]
        count = f"{samples.unusable.total()} of {plural(samples.pictures, 'picture')} that were tried"
        text = f"{count} on {topic} cannot be used: {reason}"
        yield Finding("unusable_pictures", "error", topic, text, RESTS_ON["camera"])


def training_rules(
    distances: Mapping[str, TrainingDistance], trained: TrainedInputs, config: Config
) -> Iterator[Finding]:
    """Yield how far each input lies from the training data, or why that is not known."""
    for name, noun in NOUNS.items():
        topic = ", ".join(section.topic for section in config.sensors.of_kind(name).values())
        if not topic:
            continue
        if name not in trained.profiles:
            reason = trained.problem or f"{trained.weights} was trained without {noun}"
            text = f"how far the {noun} lie from those of training: {reason}"
            yield Finding("training_unknown", "unjudged", topic, text, RESTS_ON[name])
        elif name in distances:
            yield _distance_finding(noun, topic, distances[name], trained.weights, RESTS_ON[name])


def _distance_finding(
    noun: str, topic: str, distance: TrainingDistance, weights: str, heads: tuple[str, ...]
) -> Finding:
    measure = f"{distance.times:.1f} times as far as its training logs from each other"
    measure += f" (usual: up to {distance.limit:.1f})"
    if not distance.unlike:
        text = f"{noun} on {topic} are like those that {weights} was trained on, {measure}"
        return Finding("like_training", "note", topic, text)
    most = ", ".join(f"{name} {value:+.1f}" for name, value in distance.differences.items())
    text = (
        f"{noun} on {topic} are unlike those that {weights} was trained on, {measure}: scores and deviations "
        f"do not hold there. Most unlike, in standard deviations: {most}"
    )
    return Finding(UNLIKE, "warning", topic, text, heads)
