"""The check of a receipt against the outputs that it goes with, and against the run made again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from perception.config import Config
from perception.evaluation.agreement.stored_messages import TopicComparison
from perception.pipeline import Summary
from perception.pipeline.run_record import ledger_sha256, recorded_sha256
from perception.sinks import RunInfo
from perception.sinks.mcap_sink import TIMING, WRITTEN

SETTINGS = (
    *("plugin", "weights_sha256", "untrained", "start_ns", "end_ns", "batch", "reference_rate_hz"),
    *("classes", "faults"),
)
"""Entries of the record that are the same whenever the run is repeated, on any machine."""


@dataclass(slots=True)
class ReceiptCheck:
    """The outcome of checking a receipt.

    Attributes:
        contradictions: What in the receipt, or in the record of the run, is not so.
        unproven: What cannot be proven here, with the reason.
        notes: Differences that change nothing.
    """

    contradictions: list[str] = field(default_factory=list)
    unproven: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def check_receipt(
    receipt: Mapping[str, str],
    run: RunInfo,
    made: RunInfo,
    summary: Summary,
    config: Config,
    log: Path,
) -> ReceiptCheck:
    """Check the entries of a receipt that do not depend on the stored messages.

    Args:
        receipt: The receipt; empty: there is none.
        run: The record of the first run.
        made: The record of the repeated run.
        summary: The summary of the repeated run.
        config: The configuration of the runs.
        log: The input.
    """
    check = ReceiptCheck()
    before, now = run.to_metadata(), made.to_metadata()
    for key in SETTINGS:
        if before.get(key, "") != now.get(key, ""):
            was, is_now = _shown(before.get(key)), _shown(now.get(key))
            check.contradictions.append(f"the record says {key} was {was}, the run again has {is_now}")
    expected = {
        "config_sha256": hashlib.sha256(run.config.encode()).hexdigest(),
        "weights_sha256": run.weights_sha256,
        "faults": "\n".join(run.faults),
        "seed": str(config.engine.seed),
        "messages": summary.run.get("messages", ""),
        "errors": str(summary.errors),
    }
    if receipt.get("ended") == "whole":
        expected |= {
            "frames": str(summary.frames),
            "ledger_sha256": ledger_sha256(summary.ledger, run.config),
        }
    for key, value in expected.items():
        if (
            key in receipt
            and receipt[key] != value
            and (key != "messages" or receipt.get("ended") == "whole")
        ):
            check.contradictions.append(
                f"the receipt says {key} is {_shown(receipt[key])}, it is {_shown(value)}"
            )
    _check_input(check, receipt, run, log)
    return check


def _check_input(check: ReceiptCheck, receipt: Mapping[str, str], run: RunInfo, log: Path) -> None:
    """Compare the hash of the input file, whose messages are known to be the same."""
    if "input_sha256" in receipt and receipt["input_sha256"] != recorded_sha256(log):
        text = "the input is not the file of the receipt, byte for byte, though it holds the same messages"
        if run.input_bytes == log.stat().st_size:
            check.contradictions.append(f"{text} and is as large: {log}")
        else:
            check.notes.append(f"{text}: {log}")


def check_written(
    check: ReceiptCheck,
    receipt: Mapping[str, str],
    found: Mapping[str, str],
    topics: Mapping[str, TopicComparison],
) -> None:
    """Compare the hash of each topic in the receipt with that of the stored messages.

    Args:
        check: Extended.
        receipt: The receipt.
        found: `TopicDigests.record` of the stored messages.
        topics: The comparison of each topic with the run made again.
    """
    written = {key.removeprefix(WRITTEN): text for key, text in receipt.items() if key.startswith(WRITTEN)}
    if receipt and not written:
        check.unproven.append("the receipt, of an earlier version, has no hash of the messages")
    for topic in sorted({*written, *found}) if written else ():
        if topic not in written:
            check.contradictions.append(f"{topic} was not written by the run")
        elif topic not in found:
            check.contradictions.append(
                f"{topic} is missing; the run wrote {written[topic].split()[0]} messages"
            )
        elif written[topic] != found[topic]:
            counts = written[topic].split()[0], found[topic].split()[0]
            numbers = f": {counts[0]} written, {counts[1]} stored" if counts[0] != counts[1] else ""
            check.contradictions.append(f"{topic} is not as the run wrote it{numbers}")
    by_receipt = "compared with the receipt alone" if written else "not compared"
    for topic, row in topics.items():
        if not row.made_again:
            check.unproven.append(f"{topic} was not made again; {by_receipt}")
        elif row.within and topic != TIMING:
            check.unproven.append(f"{row.within} messages of {topic} were made again up to rounding alone")
    check.unproven.append("the milliseconds in /perception/timing are of the first run alone")
    check.unproven.append(
        "a receipt is not signed: it does not show who made the outputs, nor that no one made both anew"
    )


def check_outputs(check: ReceiptCheck, recorded: str, stored: str, made: str, equal: bool) -> None:
    """Compare the hash of the outputs in the receipt with those of the stored and of the repeated outputs.

    Args:
        check: Extended.
        recorded: The hash in the receipt; empty: there is none.
        stored: Of the stored outputs.
        made: Of the outputs of the repeated run.
        equal: Whether the stored and the repeated outputs are equal bit for bit.
    """
    if not recorded or recorded == stored:
        return
    if recorded == made:
        check.contradictions.append(
            "the outputs are not those of the run: outputs_sha256 is that of the run made again"
        )
    elif equal:
        check.contradictions.append("outputs_sha256 of the receipt is not that of the outputs")
    else:
        check.unproven.append("outputs_sha256: the outputs could not be made again bit for bit here")


def _shown(value: str | None) -> str:
    text = " ".join((value or "none").split())
    return text if len(text) <= 40 else f"{text[:37]}..."
