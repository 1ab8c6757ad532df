"""Memory does not grow with the length of the log."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.small_logs import SmallLog

PEAK = """
import sys
from pathlib import Path
from perception.autoconfig import complete_config
from perception.logs import open_log
from perception.pipeline import ReplayOptions, replay
from perception.sinks import McapSink
from tests.pipeline.memory_plugin import MemoryPlugin
path = Path(sys.argv[1])
sink = McapSink(path.with_suffix(".out"))
with open_log(path) as log:
    config = complete_config(log).config
    summary = replay(log, config, MemoryPlugin(), [sink], ReplayOptions(on_message=sink.copy))
assert summary.status == "clean", summary
# Not ru_maxrss: a child inherits that of the process that started it.
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(summary.frames, peak.split()[1])
"""


def peak(path: Path) -> tuple[int, int]:
    """Frames and peak memory (KiB) of a replay with truth, output and copied inputs, in its own process."""
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    frames, memory = done.stdout.split()
    return int(frames), int(memory)


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read as Linux gives it")
@pytest.mark.slow
def test_ten_times_the_log_takes_no_more_memory(tmp_path: Path) -> None:
    found = []
    for seconds in (20.0, 200.0):
        how = {"seconds": seconds}
        log = (
            SmallLog().image(size=(320, 240), noisy=True, **how).calibration(**how).transforms(hz=10.0, **how)
        )
        log.scan(hz=20.0, **how).status(hz=100.0, **how).truth(**how).control(**how)
        found.append(peak(log.write(tmp_path / f"{seconds:.0f}.mcap")))
    (short_frames, short), (long_frames, long) = found
    assert long_frames == 10 * short_frames
    assert long < 1.1 * short, f"{short} KiB for 20 s, {long} KiB for 200 s"
