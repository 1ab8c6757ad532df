"""A plugin in a process of its own: the same outputs, and its crash, hang or leak costs its outputs only."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from perception.errors import PluginError
from perception.pipeline import OpenedPlugin, Runner
from perception.pipeline.digest import OutputDigest
from perception.pipeline.isolation import IsolatedPlugin, IsolationLimits, isolated_plugin
from perception.plugin import Context
from perception.types import CameraFrame, Input, RangeScan, Rig, Sample, StatusWindow, Tick
from perception.types.rig import Placing
from tests.pipeline.isolation.moody_plugin import (
    CRASH,
    EXIT,
    HANG,
    LEAK,
    MANIFEST,
    RAISE,
    UNSENDABLE,
    MoodyPlugin,
)

LIMITS = IsolationLimits(answer_s=2.0, memory_mb=400)


def sample(index: int, speed: float = 1.0, side: int = 64) -> Sample:
    stamp_ns = index * 100_000_000
    pixels = np.full((side, side, 3), index % 255, np.uint8)
    points = np.full((500, 3), 2.0 + index, np.float32)
    window = StatusWindow(stamp_ns, ("speed",), np.full((4, 1), speed))
    return Sample(
        Tick(index, "reference", stamp_ns, stamp_ns),
        Input("camera", "/c", CameraFrame.from_array(pixels, stamp_ns=stamp_ns), stamp_ns, 0.0),
        Input("range", "/r", RangeScan.from_array(points, stamp_ns=stamp_ns), stamp_ns, 0.0),
        Input("status", "/s", window, stamp_ns, 0.0),
        Rig(),
    )


@pytest.fixture(scope="module")
def opened() -> Iterator[IsolatedPlugin]:
    plugin = IsolatedPlugin(MANIFEST, LIMITS)
    plugin.open(Context())
    yield plugin
    plugin.close()


def until_running(plugin: IsolatedPlugin) -> None:
    """Ask for outputs until the plugin is back."""
    until_s = time.monotonic() + 60
    while time.monotonic() < until_s:
        try:
            OpenedPlugin(plugin)(sample(0))
            return
        except PluginError:
            time.sleep(0.05)
    raise AssertionError(f"the plugin did not come back: {plugin.state}")


def test_the_outputs_are_those_of_the_plugin_in_this_process(opened: IsolatedPlugin) -> None:
    digests = []
    for plugin in (MoodyPlugin(MANIFEST), opened):
        digest = OutputDigest()
        Runner(plugin, [digest]).run(sample(i, float(i), side=64 + i) for i in range(30))
        digests.append(digest.hexdigest())
    assert digests[0] == digests[1]
    assert opened.restarts == 0
    assert len(opened._buffers._pieces) <= 2  # shared memory is used again


@pytest.mark.parametrize("call", ["multiprocessing.shared_memory._posixshmem.shm_open", "os.posix_fallocate"])
def test_without_room_in_shared_memory_samples_go_by_the_pipe(
    monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """That of a container is 64 MB, and may be missing; writing to a page that is not there ends the host."""

    def full(*arguments: object, **named: object) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    digest, expected = OutputDigest(), OutputDigest()
    Runner(MoodyPlugin(MANIFEST), [expected]).run(sample(i, float(i), side=64 + i) for i in range(5))
    with OpenedPlugin(plugin := IsolatedPlugin(MANIFEST, LIMITS)):
        plugin.open(Context())
        monkeypatch.setattr(call, full)
        Runner(plugin, [digest]).run(sample(i, float(i), side=64 + i) for i in range(5))
        assert plugin._buffers._pieces == {}
    assert digest.hexdigest() == expected.hexdigest()


def two_cameras(index: int) -> Sample:
    """Return a sample with two cameras, which are two rows for the plugin."""
    one = sample(index, float(index))
    named = {name: replace(one.camera, name=name, kind="camera") for name in ("front", "left")}
    placings = {name: Placing(Rig()) for name in named}
    return replace(one, camera=named["front"], cameras=named, placings=placings)


def test_samples_in_order_cost_one_exchange_each() -> None:
    digest, expected, calls = OutputDigest(), OutputDigest(), []
    Runner(MoodyPlugin(MANIFEST), [expected]).run(two_cameras(i) for i in range(9))
    with OpenedPlugin(plugin := IsolatedPlugin(MANIFEST, LIMITS, in_order=True)) as opened:
        plugin.open(Context())
        send = plugin._send
        plugin._send = lambda method, argument=None: calls.append(method) or send(method, argument)  # type: ignore[method-assign]
        Runner(plugin, [digest]).run(two_cameras(i) for i in range(9))
        assert calls == ["prepare"] * 18
        with pytest.raises(PluginError, match="ValueError: as asked"):
            opened(sample(10, RAISE))
        assert opened(sample(11)).control is not None
    assert digest.hexdigest() == expected.hexdigest()


@pytest.mark.parametrize(
    ("speed", "why"),
    [
        (RAISE, "ValueError: as asked"),
        (EXIT, "SystemExit"),
        (UNSENDABLE, "cannot be sent to the host by pickle: "),
    ],
)
def test_what_it_raises_costs_that_output(opened: IsolatedPlugin, speed: float, why: str) -> None:
    with pytest.raises(PluginError, match=why):
        OpenedPlugin(opened)(sample(1, speed))
    assert OpenedPlugin(opened)(sample(2)).control is not None
    assert opened.restarts == 0


def test_signals_to_the_whole_group_are_for_the_host(opened: IsolatedPlugin) -> None:
    """Ctrl-C, and SIGTERM of systemd or roslaunch, reach the process of the plugin, too."""
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(opened._process.pid, number)
    assert OpenedPlugin(opened)(sample(2)).control is not None
    assert opened.restarts == 0


@pytest.mark.parametrize(
    ("speed", "why"), [(CRASH, "SIGABRT"), (HANG, "no answer to step within 2 s"), (LEAK, "it holds .* MiB")]
)
def test_a_crash_a_hang_or_a_leak_starts_it_again(
    opened: IsolatedPlugin, speed: float, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolated_plugin, "LOOK_S", 0.0)
    before = opened.restarts
    OpenedPlugin(opened)(sample(0))  # the first call after a start may take longer
    if speed == LEAK:
        monkeypatch.setattr(opened, "_limits", replace(LIMITS, answer_s=60.0))
        OpenedPlugin(opened)(sample(1, speed))  # it is seen at the next call
    with pytest.raises(PluginError, match=why):
        OpenedPlugin(opened)(sample(2, speed))
    assert opened.state == "restarting"
    began_s = time.monotonic()
    with pytest.raises(PluginError, match="is being started again"):
        OpenedPlugin(opened)(sample(3))
    assert time.monotonic() - began_s < 1.0  # nobody waits for it
    until_running(opened)
    assert opened.restarts == before + 1
    opened._pause_s = isolated_plugin.FIRST_PAUSE_S


def test_pauses_grow_where_it_crashes_again_and_again() -> None:
    plugin = IsolatedPlugin(MANIFEST, LIMITS)
    pauses = []
    for _ in range(9):
        plugin._give_up("a test")
        pauses.append(round(plugin._due_s - time.monotonic(), 1))
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    plugin.close()


def test_one_that_does_not_open_says_why() -> None:
    plugin = IsolatedPlugin(replace(MANIFEST, factory="tests.pipeline.isolation.moody_plugin:NoPlugin"))
    with pytest.raises(PluginError, match="has no attribute 'NoPlugin'"):
        plugin.open(Context())
    plugin.close()
