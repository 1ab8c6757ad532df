"""The layout of a recording in the Rerun viewer: cameras and scene above, series and texts below."""

from __future__ import annotations

from typing import Any, NamedTuple

import rerun.blueprint as rrb

from perception_plugins.viewers.rerun_rows import ARRIVAL
from perception_plugins.viewers.rerun_series import AGES, INPUTS, LATENCY
from perception_plugins.viewers.rerun_space import SPACE, camera_path

TEXTS, ERRORS, HEALTH = "log", "errors", "monitor"
"""Roots of the text log, of the errors of an evaluation, and of the monitor's values."""


class Shown(NamedTuple):
    """What a recording holds, as far as the layout depends on it.

    `cameras` are all, `placed` those whose place in the scene is known; `channels` are those of control and
    further heads (path, title). `scored` and `watched`: there are errors, or values of the monitor.
    """

    cameras: tuple[str, ...]
    placed: frozenset[str]
    space: bool
    channels: tuple[tuple[str, str], ...]
    scored: bool
    watched: bool


def blueprint(shown: Shown, around_ns: tuple[int, int] | None = None) -> rrb.Blueprint:
    """Return the layout.

    Args:
        shown: What there is to show.
        around_ns: The part of the arrival clock that the viewer begins with, in a loop; None: the whole.
    """
    cameras = [rrb.Spatial2DView(origin=camera_path(name), name=name) for name in shown.cameras]
    pictures = cameras[0] if len(cameras) == 1 else rrb.Grid(*cameras, name="Cameras")
    top = rrb.Horizontal(pictures, _space(shown), column_shares=[3, 2]) if shown.space else pictures
    return rrb.Blueprint(
        rrb.Vertical(
            top,
            rrb.Horizontal(*_below(shown), column_shares=[3, 2, 3]),
            row_shares=[3, 2],
        ),
        _time_panel(around_ns),
        rrb.SelectionPanel(state="collapsed"),
        rrb.BlueprintPanel(state="collapsed"),
        auto_views=False,
    )


def _space(shown: Shown) -> rrb.View:
    """Return the 3D view, without what lies in pixels of a camera whose place is not known."""
    contents = [f"+ {SPACE}/**"]
    for name in shown.cameras:
        path = camera_path(name)
        hidden = (
            ("returns", "boxes", "truth")
            if name in shown.placed
            else ("returns", "boxes", "truth", "picture")
        )
        contents += [f"- {path}/{part}" for part in hidden]
    return rrb.Spatial3DView(origin=SPACE, contents=contents, name="Scene")


def _below(shown: Shown) -> list[Any]:
    tabs: list[Any] = []
    if shown.scored:
        tabs.append(rrb.TimeSeriesView(origin=ERRORS, name="Errors"))
    if shown.channels:  # each on an axis of its own: their units differ
        legend = rrb.PlotLegend(visible=False)  # it would hide half of a plot; the title says what it is
        plots = [
            rrb.TimeSeriesView(origin=path, name=name, plot_legend=legend) for path, name in shown.channels
        ]
        tabs.append(rrb.Vertical(*plots, name="Control"))
    tabs.append(rrb.TimeSeriesView(origin=LATENCY, name="Latency"))
    if shown.watched:
        tabs.append(rrb.TimeSeriesView(origin=HEALTH, name="Monitor"))
    series = rrb.Tabs(*tabs)
    states = rrb.StateTimelineView(origin=INPUTS, name="Inputs")
    ages = rrb.TimeSeriesView(origin=AGES, name="Age of inputs")
    columns = rrb.TextLogColumns(text_log_columns=["LogLevel", "Body"])  # the body names the subject
    log = rrb.TextLogView(origin=TEXTS, name="Log", columns=columns)
    return [series, rrb.Vertical(states, ages), log]


def _time_panel(around_ns: tuple[int, int] | None) -> rrb.TimePanel:
    if around_ns is None:
        return rrb.TimePanel(state="collapsed", timeline=ARRIVAL)
    start_ns, end_ns = around_ns
    return rrb.TimePanel(
        state="expanded",
        timeline=ARRIVAL,
        time_selection=rrb.components.AbsoluteTimeRange(start_ns, end_ns),
        loop_mode="selection",
        play_state="playing",  # a paused viewer stays where it was, outside of the loop
    )
