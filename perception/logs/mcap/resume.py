"""Going on behind damage: where the next sound record begins, and what the bytes before it were."""

from __future__ import annotations

from perception.logs.mcap.records import HEAD, Op
from perception.logs.mcap.walk_state import PriorRecord, WalkState


def behind_damage(state: WalkState, at: int, end: int, last: PriorRecord | None, reason: str) -> int:
    """Return where the next sound record begins, and note the damage before it.

    `last` is the record that led here: it may be what is damaged.
    """
    state.run = None
    if last is not None and last.before is not None:
        return _behind_message(state, at, end, last, reason)
    begin = at + 1
    if last is not None and last.block is None:
        begin = last.start + 1 if not state.search.checked(last.start, last.end) else at + 1
    elif last is not None and last.block is not None and not state.search.intact(last.block):
        begin = state.search.inside(last.block)
    resume_at = state.search.find(begin, end, state.loose(begin, end), but=at)
    state.doubt_index()
    if resume_at < at and last is not None:
        if last.block is None:
            state.note_break(last.start, resume_at, reason)
        else:
            last.block.length = resume_at - last.block.offset
        return resume_at
    if state.has_message_head(at) and state.shapes.head(at)[0] == Op.MESSAGE:
        state.tear(at, resume_at)
    else:
        state.note_break(at, resume_at, reason)
    return resume_at


def behind_chunk(state: WalkState, at: int, end: int) -> int:
    """Return where the next sound record begins behind a chunk whose lengths are wrong."""
    state.run, block = None, state.contents.blocks[-1]
    resume_at = state.search.find(state.search.inside(block), end, loose=False, but=at)
    block.length = resume_at - at
    return resume_at


def _behind_message(state: WalkState, at: int, end: int, last: PriorRecord, reason: str) -> int:
    """Return where the next sound record begins behind messages outside chunks.

    Nothing else tells which of two records is damaged: this one, if it can be recognised; else the
    message before it, whose content is then not believed.
    """
    assert last.block is not None
    assert last.before is not None
    resume_at = state.search.find(at + 1, end, loose=True)
    opcode, length = state.shapes.head(at)
    header = state.has_message_head(at)
    if at + HEAD.size > end:  # the file was cut there
        resume_at = end
        state.note_break(at, resume_at, reason)
    elif header and (opcode == Op.MESSAGE or at + HEAD.size + length == resume_at):
        state.tear(at, resume_at)
    elif (
        at + HEAD.size + length == resume_at
        or (earlier := state.search.find(last.start + 1, end, loose=True, but=at)) == end
    ):
        state.note_break(at, resume_at, reason)
    else:
        resume_at = earlier
        last.before.restore(last.block)
        if not last.block.length:
            state.contents.blocks.pop()
        state.tear(last.start, resume_at)
    return resume_at
