"""Shared fixtures. Marks say what a test needs; what is missing is skipped, and said so."""

from __future__ import annotations

import gc
import hashlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from perception.autoconfig import ConfigChoice
    from perception.config import Config
    from perception.logs import Log
    from tests.forked_python import ForkedPython

SHARED = Path(__file__).resolve().parents[2] / "shared" / "real"

# Several busy processes: a thread each, set before anything counts cores.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# OpenVINO's converter and NNCF report what they do, each time from a forked process, where they find this.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # fails its import

# Started in the background, where a shell has interrupts ignored: what tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if getattr(signal, "SIGHUP", None) and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # as by `nohup`
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Garbage collection looks at every object of all imported modules again and again: a twentieth of the time.
gc.set_threshold(10_000, 20, 50)

# A busy machine is slow, not wrong. In CI the drawn examples are the same each time: a change is judged by
# what it changed; new examples are drawn wherever people work.
hypothesis.settings.register_profile(
    "house",
    deadline=None,
    max_examples=int(os.environ.get("PERCEPTION_EXAMPLES", "25")),
    derandomize=bool(os.environ.get("CI")),
)
hypothesis.settings.load_profile("house")
if os.environ.get(
    "CI"
):  # nor is what the code that happens to be imported holds: its constants are drawn, too
    from hypothesis.internal.conjecture import providers

    providers._get_local_constants = lambda: providers._local_constants


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not SHARED.is_dir():
        skip = pytest.mark.skip(reason="the real recordings (../shared/real) are not beside this checkout")
        for item in items:
            if item.get_closest_marker("shared"):
                item.add_marker(skip)


def pytest_collection_finish() -> None:
    gc.freeze()  # modules and tests stay


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real recordings; only for tests marked `shared`."""
    return SHARED


@pytest.fixture(scope="session")
def third_party(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of installed packages, as `pip install --target` leaves it: the plugin `blob_detector`."""
    from tests.third_party.install import install_package

    target = tmp_path_factory.mktemp("third_party") / "site"
    target.mkdir()
    install_package("blob_detector", target)
    return target


@pytest.fixture(scope="session")
def forked_python() -> Iterator[ForkedPython]:
    """Starts Python programs, `perception` among them, without the time that Python and imports take."""
    from tests.forked_python import ForkedPython

    server = ForkedPython()
    yield server
    server.close()


@pytest.fixture(scope="session")
def forked_torch() -> Iterator[ForkedPython]:
    """Starts Python programs that have imported torch, and nothing else."""
    from tests.forked_python import ForkedPython

    server = ForkedPython(("torch",))
    yield server
    server.close()


@pytest.fixture(scope="session", autouse=True)
def _kept_graphs() -> Iterator[None]:
    """Compiled graphs stay in memory: importing one again takes a second, and its answers are the same."""
    from perception.engines.openvino_backend import COMPILED, OpenVinoBackend

    load, kept = OpenVinoBackend._load, {}

    def load_once(self: OpenVinoBackend, path: Path) -> None:
        blob = path.with_name(COMPILED)
        if isinstance(self.source, Path) or self._compiled is not None or not blob.is_file():
            load(self, path)
            return
        key = hashlib.sha256(blob.read_bytes()).digest(), repr(self._settings())
        self._compiled = kept.pop(key, None)
        load(self, path)
        kept[key] = self._compiled
        if len(kept) > 3:
            del kept[next(iter(kept))]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OpenVinoBackend, "_load", load_once)
        yield


@pytest.fixture(scope="session", autouse=True)
def _kept_choices() -> Iterator[None]:
    """What is chosen for the same small MCAP file stays in memory: choosing reads the log several times.

    The tests of the choice itself choose each time.
    """
    from perception.autoconfig import completion

    choose, kept = completion.choose_config, {}

    def choose_once(log: Log, base: Config | None = None, source: str | Path | None = None) -> ConfigChoice:
        path = Path(log.path)
        test = os.environ.get("PYTEST_CURRENT_TEST", "")
        # Training reads the same log as it was configured, again and again.
        known = base is None or test.startswith("tests/training")
        if not known or test.startswith("tests/autoconfig") or path.suffix != ".mcap" or not path.is_file():
            return choose(log, base, source)
        if path.stat().st_size > 20_000_000:
            return choose(log, base, source)
        given = None if base is None else base.model_dump_json(), str(source)
        key = path, hashlib.sha256(path.read_bytes()).digest(), given
        if key not in kept:
            kept[key] = choose(log, base, source)
        return kept[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(completion, "choose_config", choose_once)
        yield
