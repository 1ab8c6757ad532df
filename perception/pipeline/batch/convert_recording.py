"""The conversion of one recording of a batch to MCAP."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from perception.logs import open_log
from perception.logs.conversion import Conversion, ConvertOptions, convert_log
from perception.logs.conversion.convert_log import is_converted_log
from perception.logs.joined_path import parts_of
from perception.path_guard import Read
from perception.pipeline.batch.recording_job import JobEnd, ResultPlace
from perception.pipeline.replay_job import Observe
from perception.pipeline.run_record import recorded_versions
from perception.pipeline.span import begin_of


@dataclass(frozen=True, slots=True)
class ConvertRecording:
    """The conversion of one log to an MCAP file."""

    log: Path
    options: ConvertOptions
    suffix: ClassVar[str] = ".mcap"
    part: ClassVar[str] = ""

    def settings(self) -> Mapping[str, Any]:
        return {"convert": asdict(self.options), "versions": dict(recorded_versions())}

    def reads(self, logs: Sequence[Path]) -> list[Read]:
        return [Read("the log", part) for log in logs for part in parts_of(log)]

    def is_ours(self, path: Path) -> bool:
        return is_converted_log(path)

    def has_tables(self, recording: str) -> bool:
        return True

    def into(self, path: Path) -> Conversion:
        """Write the file. Seconds of a cut count as those of a replay. Raises as `convert_log`."""
        with open_log(self.log) as log:
            begin_ns = None if self.options.start_s is None else begin_of(log)
            return convert_log(log, path, replace(self.options, begin_ns=begin_ns))

    def run(self, place: ResultPlace, observe: Observe) -> JobEnd:
        conversion = self.into(place.folder / f"{place.recording}{self.suffix}")
        return JobEnd(conversion.status, conversion.to_json(), conversion.messages)


def convert_totals(documents: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Return the sums over conversions: `messages`, and those that were `not_carried`."""
    documents = list(documents)
    return {
        "messages": sum(document["messages"] for document in documents),
        "not_carried": sum(row["messages"] for document in documents for row in document["not_carried"]),
    }
