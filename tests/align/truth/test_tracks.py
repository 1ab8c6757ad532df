from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.align.truth.tracks import MAX_ENTITIES, BoxTrack
from perception.types import Cuboids, SceneChange, SceneDeletion, SceneEntity
from tests.align.truth.build import MS, cuboid, cuboids


def update(
    at_ms: int, *ids: str, deleted: tuple[str | None, ...] = (), lifetime_ms: int = 0, ignored: int = 0
) -> Cuboids:
    """A message that adds or replaces entities of one cuboid each, and deletes others."""
    change = SceneChange(
        entities=tuple(SceneEntity(name, at_ms * MS, lifetime_ms * MS) for name in ids),
        deletions=tuple(SceneDeletion(name, at_ms * MS) for name in deleted),
    )
    items = tuple(replace(cuboid((0, 0, 5), track_id=name), entity_id=name) for name in ids)
    return Cuboids("/cuboids", at_ms * MS, at_ms * MS, items, change=change, ignored=ignored)


def scene(track: BoxTrack, at_ms: int) -> set[str] | None:
    message = track.nearest(at_ms * MS, 60 * MS)
    if message is None:
        return None
    assert isinstance(message, Cuboids)
    return {item.track_id for item in message.items}  # type: ignore[union-attr]


def filled(*messages: Cuboids) -> BoxTrack:
    track = BoxTrack()
    for message in messages:
        track.add(message)
    return track


def test_entities_of_several_messages_are_one_scene() -> None:
    assert scene(filled(update(0, "a"), update(0, "b"), update(0, "c")), 20) == {"a", "b", "c"}


def test_an_entity_stays_until_it_is_replaced_or_deleted() -> None:
    track = filled(
        update(0, "a", "b"), update(100, "b"), update(200, deleted=("a",)), update(300, deleted=(None,))
    )
    assert [scene(track, at) for at in (0, 100, 200, 300)] == [{"a", "b"}, {"a", "b"}, {"b"}, set()]


def test_an_entity_without_cuboids_replaces_one_with() -> None:
    empty = replace(update(100, "a"), items=())
    assert scene(filled(update(0, "a", "b"), empty), 100) == {"b"}


def test_a_deletion_spares_what_is_newer() -> None:
    late = update(50, deleted=("a", "b"))
    track = filled(update(0, "a"), update(100, "b"), late, update(200))
    assert scene(track, 50) == set()
    assert scene(track, 200) == {"b"}
    assert scene(filled(update(0, "a"), update(0, deleted=(None,))), 0) == {"a"}, "as old is not older"


def test_an_entity_lasts_as_long_as_its_lifetime_says_also_far_from_any_message() -> None:
    track = filled(update(0, "a", lifetime_ms=5000), update(0, "b"), update(100, "c", lifetime_ms=300))
    assert scene(track, 120) == {"a", "b", "c"}
    assert [scene(track, at) for at in (300, 2000, 6000)] == [{"a", "c"}, {"a"}, None]
    track.forget_before(1000 * MS)
    assert [scene(track, at) for at in (2000, 6000)] == [{"a"}, None]
    track.add(update(2500, deleted=("a",)))
    assert [scene(track, at) for at in (2000, 2700)] == [{"a"}, None]


def test_a_lifetime_ends() -> None:
    track = filled(update(0, "a", lifetime_ms=150), update(0, "b"), update(100), update(200))
    assert [scene(track, at) for at in (0, 100, 200)] == [{"a", "b"}, {"a", "b"}, {"b"}]


def test_far_from_any_change_nothing_is_known() -> None:
    assert scene(filled(update(0, "a")), 61) is None


def test_a_whole_scene_in_one_message_is_taken_as_it_is() -> None:
    track = filled(cuboids(cuboid((0, 0, 5), track_id="x")), cuboids(stamp_ns=100 * MS))
    assert [scene(track, at) for at in (0, 100)] == [{"x"}, set()]


def test_cuboids_of_entities_without_an_id_are_all_kept() -> None:
    item = cuboid((0, 0, 5))
    change = SceneChange((SceneEntity("", 0), SceneEntity("", 0)))
    message = BoxTrack()
    message.add(Cuboids("/cuboids", 0, 0, (item, item), change=change))
    found = message.nearest(0, MS)
    assert found is not None
    assert len(found.items) == 2


def test_bad_boxes_of_all_messages_of_the_stamp_are_counted() -> None:
    found = filled(update(0, ignored=1), update(0, ignored=2), update(100)).nearest(0, MS)
    assert found is not None
    assert found.ignored == 3


@given(seed=st.integers(0, 2**32 - 1))
def test_what_was_forgotten_is_still_there(seed: int) -> None:
    """Forgetting old messages changes no later scene, and the order of arrival changes none at all."""
    rng = random.Random(seed)
    messages = []
    for i in range(12):
        ids = [name for name in "abcd" if rng.random() < 0.3]
        gone = tuple(name for name in ("a", "b", None) if rng.random() < 0.15)
        messages.append(update(100 * i, *ids, deleted=gone, lifetime_ms=rng.choice([0, 0, 250])))
    whole = filled(*messages)
    shuffled = filled(*rng.sample(messages, len(messages)))
    forgetful = BoxTrack()
    for i, message in enumerate(messages):
        forgetful.add(message)
        forgetful.forget_before((100 * i - 150) * MS)
        expected = scene(whole, 100 * i)
        assert scene(forgetful, 100 * i) == expected
        assert scene(shuffled, 100 * i) == expected
    assert len(forgetful.messages) <= 3


@given(order=st.permutations(range(8)), seed=st.integers(0, 2**32 - 1))
def test_a_message_of_before_counts_also_after_a_later_scene_was_given(order: list[int], seed: int) -> None:
    rng = random.Random(seed)
    messages = [update(100 * i, rng.choice("abcd"), deleted=(rng.choice("abcd"),)) for i in order]
    track = BoxTrack()
    for count, message in enumerate(messages, start=1):
        track.add(message)
        at_ms = 100 * max(order[:count])
        assert scene(track, at_ms) == scene(filled(*messages[:count]), at_ms)


@pytest.mark.parametrize("count", [MAX_ENTITIES + 5])
def test_a_scene_is_bounded(count: int) -> None:
    track = filled(update(0, *map(str, range(count))), update(10, "last"))
    found = scene(track, 10)
    assert found is not None
    assert len(found) == MAX_ENTITIES
    assert "last" in found
