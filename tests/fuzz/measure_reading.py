"""Read a log in a process of its own, and print what it cost: seconds of CPU, and MiB of memory."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path

from perception.errors import LogError
from perception.logs import Query, open_log


def main(path: str) -> None:
    costs, read = [], 0
    for query in (None, Query(), Query(frozenset({"/a"}), 0, 6)):
        begin = time.process_time()
        try:
            with open_log(path) as log:
                if query is None:
                    assert log.survey.size_bytes
                else:
                    read = sum(1 for _ in log.messages(query))
        except LogError:
            pass
        costs.append(time.process_time() - begin)
    # Not ru_maxrss: it begins with the memory of the process that started this one.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = int(re.search(r"VmHWM:\s*(\d+) kB", status)[1]) / 1024  # type: ignore[index]
    print(json.dumps({"cpu_s": costs, "peak_mib": peak, "read": read}))


if __name__ == "__main__":
    main(sys.argv[1])
