"""The audit's rules for the distance of a log from the training data of the weights, and for pixels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from perception.config import Config
from perception.diagnosis.audit.audit_finding import RESTS_ON, Finding, plural
from perception.diagnosis.trained_inputs import NOUNS, InputSamples, TrainedInputs, TrainingDistance


def sample_rules(samples: InputSamples, topic: str) -> Iterator[Finding]:
    """Yield pictures that give no pixels."""
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
        section = getattr(config.sensors, name)
        if section is None:
            continue
        if name not in trained.profiles:
            reason = trained.problem or f"{trained.weights} was trained without {noun}"
            text = f"how far the {noun} lie from those of training: {reason}"
            yield Finding("training_unknown", "unjudged", section.topic, text, RESTS_ON[name])
        elif name in distances:
            yield _distance_finding(noun, section.topic, distances[name], trained.weights, RESTS_ON[name])


def _distance_finding(
    noun: str, topic: str, distance: TrainingDistance, weights: str, heads: tuple[str, ...]
) -> Finding:
    times, limit = f"{distance.times:.1f}", f"{distance.limit:.1f}"
    if not distance.unlike:
        text = (
            f"{noun} on {topic} are like those that {weights} was trained on: {times} times as far as a "
            f"training log is from the others; up to {limit} is usual"
        )
        return Finding("like_training", "note", topic, text)
    most = ", ".join(f"{name} {value:+.1f}" for name, value in distance.differences.items())
    text = (
        f"{noun} on {topic} are unlike those that {weights} was trained on: {times} times as far as a "
        f"training log is from the others, where up to {limit} is usual; scores and deviations do not hold "
        f"there. Most unlike, in standard deviations: {most}"
    )
    return Finding("unlike_training", "warning", topic, text, heads)
