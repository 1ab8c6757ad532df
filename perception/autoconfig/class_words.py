"""The class words of a log's truth, and the mapping to the classes of a model that a user may paste."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import yaml

from perception.config import Config
from perception.errors import CheckpointError, PluginError
from perception.logs import Log, Query, decode
from perception.logs.label_files import read_labels
from perception.logs.sparing import look
from perception.models.checkpoint import read_metadata
from perception.plugin import own_weights
from perception.types import Cuboids, TruthBoxes

MOST_MESSAGES = 200  # of truth that are read for their words

_SAME: tuple[frozenset[str], ...] = tuple(
    frozenset(words.split())
    for words in (
        "person pedestrian people human walker adult child man woman worker officer",
        "cyclist bicyclist bicycle bike rider",
        "vehicle car truck bus van pickup trailer lorry suv taxi automobile ambulance tractor",
        "cone pylon",
        "barrel drum",
    )
)
"""Words of data sets for one kind of thing."""


@dataclass(frozen=True, slots=True)
class ClassWords:
    """The class words of a log's truth, beside the classes of the weights.

    Attributes:
        counts: Word -> how often it is in the first messages.
        classes: The classes of the configured weights; empty: not known.
        mapped: The mapping that is configured (`truth.classes`).
    """

    counts: Mapping[str, int]
    classes: tuple[str, ...]
    mapped: Mapping[str, str]

    @classmethod
    def of(cls, log: Log, config: Config) -> ClassWords:
        """Return the words of a log under a configuration."""
        return cls(class_words(log, config), model_classes(config), config.truth.classes)

    @property
    def unknown(self) -> list[str]:
        """The words that no class and no configured mapping has, the commonest first."""
        known = self.mapped or self.classes
        return [word for word in sorted(self.counts, key=lambda w: -self.counts[w]) if word not in known]

    @property
    def suggested(self) -> dict[str, str]:
        """The mapping of the unknown words whose class is clear; empty without any.

        Words that are classes are in it as themselves where nothing is configured yet: a mapping drops what
        it does not list.
        """
        mapping = class_mapping(self.unknown, self.classes)
        if not mapping:
            return {}
        known = [word for word in self.counts if word not in self.unknown and word not in self.mapped]
        return {**dict(zip(known, known, strict=True)), **mapping}

    def to_json(self) -> dict[str, Any]:
        """Return words, classes, and the mapping that is suggested for unknown words."""
        return {"words": dict(self.counts), "classes": list(self.classes), "suggested": self.suggested}


def class_words(log: Log, config: Config) -> Counter[str]:
    """Return the class words in the first messages of the truth of boxes, with how often each is there."""
    words: Counter[str] = Counter()
    topic = config.truth.boxes
    if config.truth.labels is not None:
        labels = read_labels(config.truth.labels)
        return Counter(box.label for picture in labels.pictures for box in picture.boxes if box.label)
    if topic is None or topic not in log.survey.topics:
        return words
    for message in islice(look(log, Query(frozenset([topic]))), MOST_MESSAGES):
        truth = decode(message, "truth_boxes")
        if isinstance(truth, Cuboids | TruthBoxes):
            words.update(item.label for item in truth.items if item.label)
    return words


def model_classes(config: Config) -> tuple[str, ...]:
    """Return the classes of the configured weights or the plugin's own; empty where they are not known."""
    try:
        path = config.plugin.checkpoint or own_weights(config.plugin.name)
        return () if path is None else tuple(read_metadata(path).config.classes)
    except (CheckpointError, PluginError):
        return ()


def class_mapping(words: Iterable[str], classes: Sequence[str]) -> dict[str, str]:
    """Return class word -> class of the model, of those words whose class is clear; others are left out.

    >>> class_mapping(["Car", "Pedestrian with Object", "Towed Object"], ["person", "vehicle"])
    {'Car': 'vehicle', 'Pedestrian with Object': 'person'}
    """
    found = ((word, _class_of(word, classes)) for word in words)
    return {word: name for word, name in found if name is not None}


def dropped_classes(words: Iterable[str], mapping: Mapping[str, str], classes: Iterable[str]) -> list[str]:
    """Return the words that are classes themselves, and that a mapping drops since it does not list them."""
    if not mapping:
        return []
    kept = {*mapping, *mapping.values()}
    return sorted({*words} & {*classes} - kept)


def dropped_text(dropped: Sequence[str]) -> str:
    """Return a warning about classes that a mapping drops; empty without any."""
    if not dropped:
        return ""
    example = ", ".join(f"{_quoted(word)}: {word}" for word in dropped)
    return (
        f"truth.classes does not list {', '.join(dropped)}, which the truth has and the weights know: those "
        f"boxes are dropped, and what is found there counts as wrong; add {example}"
    )


def mapping_text(mapping: Mapping[str, str]) -> str:
    """Return a mapping as one line of YAML, `classes: {Car: vehicle}`."""
    pairs = ", ".join(f"{_quoted(word)}: {name}" for word, name in mapping.items())
    return f"classes: {{{pairs}}}"


def _class_of(word: str, classes: Sequence[str]) -> str | None:
    """Return the class that a word names, itself or by another word for the same; None: none, or several."""
    tokens = _tokens(word)
    named = [name for name in classes if set(_tokens(name)) & set(tokens)]
    if named:
        return next((name for name in named if name.lower() == word.lower()), named[0])
    for token in tokens:
        kinds = [kind for kind in _SAME if token in kind]
        same = [name for name in classes if any(set(_tokens(name)) & kind for kind in kinds)]
        if len(same) == 1:
            return same[0]
    return None


def _tokens(word: str) -> list[str]:
    """Return the words of a name in lower case, without the s of a plural."""
    plain = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", word).lower()
    return [token if token in ("bus",) else token.rstrip("s") for token in re.findall(r"[a-z0-9]+", plain)]


def _quoted(word: str) -> str:
    """Return a word as a key of YAML in one line: in quotes, unless it is read as itself without them."""
    plain = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_ ]*", word) and isinstance(yaml.safe_load(word), str)
    return word if plain else json.dumps(word, ensure_ascii=False)
