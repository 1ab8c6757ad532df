"""The text of `perception bench` in 80 columns, with advice."""

from __future__ import annotations

from math import isfinite

from rich.console import Console
from rich.table import Table
from rich.text import Text

from perception.diagnosis.bench import BenchReport, Rate, RigSpeed, Variant, ViewerCost
from perception.text import plural
from perception_tools.printed_tables import plain_table
from perception_tools.printing import make_console, print_lines

QUIET = 0.15
"""The number of cores used by other programs above which wall-clock times are unreliable."""

FULL = 0.85
"""The share of busy cores above which a second log gains little."""


def show_bench(report: BenchReport) -> None:
    """Print a report to stdout."""
    console = make_console()
    console.print(f"{report.log}: {report.frames} frames, from disk to written outputs", soft_wrap=True)
    console.print(_rates(report))
    _show_fullness(console, report)
    for variant in report.variants:
        console.print(_title(variant))
        console.print(_stages(variant))
        print_lines(console, _verdict(variant))
        if variant.start is not None:
            print_lines(console, _start(variant))
    _noise(console, report)


def show_rig_speed(speed: RigSpeed) -> None:
    """Print the speed of a rig of cameras beside that of one of them."""
    console = make_console()
    table = plain_table(("", "camera frames/s", "ticks"))
    table.add_row("one camera", f"{speed.one_hz:.1f}", str(speed.frames))
    others = f"{speed.ranges} range sensors, {speed.statuses} statuses"
    table.add_row(f"{speed.cameras} cameras, {others}", f"{speed.rig_hz:.1f}", str(speed.frames))
    console.print(table)
    console.print(f"the rig gives {speed.ratio:.2f} of the camera frames of one camera")


def show_viewer_cost(cost: ViewerCost) -> None:
    """Print the rates of a replay with and without viewers."""
    names = {
        "output": "an output log",
        "rerun": "and --rerun",
        "nothing": "no output log",
        "serve": "and --serve, without a client",
    }
    table = plain_table(("replay into", "frames/s", "of the one above", "cpu ms/frame"))
    for name, text in names.items():
        share = f"{cost.shares[name]:.2f}" if name in cost.shares else ""
        table.add_row(text, f"{cost.rates_hz[name]:.1f}", share, f"{cost.cpu_ms[name]:.1f}")
    make_console().print(table)


def _rates(report: BenchReport) -> Table:
    table = plain_table(("", "frames/s", "range", "cpu ms/frame", "over naive", "of ideal"))
    for threads, rate in report.naive.items():
        name = f"naive, {plural(threads, 'thread')}"
        table.add_row(name, *_rate(rate), "", "")
    for variant in report.variants:
        over = report.over_naive(variant)
        times = f"{over:.1f} x" if over is not None else ""
        table.add_row(variant.name, *_rate(variant.full), times, f"{variant.of_ideal:.2f}")
    single = report.jobs.get(1)
    for jobs, rate in report.jobs.items():
        if jobs > 1 and single is not None:
            gain = f"{rate.frames_per_s / single.frames_per_s:.2f} x one log"
            table.add_row(f"{jobs} logs at once", *_rate(rate), gain, "")
    return table


def _show_fullness(console: Console, report: BenchReport) -> None:
    """Print why several logs at once may not be faster."""
    cores, single = report.variants[0].cores, report.jobs.get(1)
    if len(report.jobs) > 1 and single is not None and single.busy_cores > FULL * cores:
        text = f"one log keeps {single.busy_cores:.1f} of {cores} cores busy: several at once gain little"
        console.print(text)
        console.print()


def _rate(rate: Rate) -> tuple[str, str, str]:
    return f"{rate.frames_per_s:.1f}", f"{rate.least:.1f} to {rate.most:.1f}", f"{rate.cpu_ms:.2f}"


def _title(variant: Variant) -> Text:
    description = variant.description
    parts = [description.get(key, "") for key in ("backend", "precision", "device", "device_name")]
    text = Text(variant.name, style="bold")
    text.append(f": {', '.join(part for part in parts if part)}; ", style="none")
    return text.append(
        f"{plural(variant.workers, 'worker')} on {plural(variant.cores, 'core')}", style="none"
    )


def _stages(variant: Variant) -> Table:
    table = plain_table(("stage", "ms/frame", "share of work", "busy share of the cores"))
    work = sum(variant.stage_ms.values()) or 1.0
    for stage, ms in variant.stage_ms.items():
        name = f"{stage} <" if stage == variant.bottleneck else stage
        table.add_row(name, f"{ms:.3f}", f"{ms / work:.0%}", f"{variant.share(stage):.0%}")
    if variant.full.device_ms:
        name = "gpu <" if variant.bottleneck == "gpu" else "gpu"
        busy = f"{variant.full.device_busy:.0%} of the gpu"
        table.add_row(name, f"{variant.full.device_ms:.3f}", "", busy)
    return table


def _verdict(variant: Variant) -> Text:
    text = Text(f"bottleneck: {variant.bottleneck}", style="bold")
    work = sum(variant.stage_ms.values())
    parts = f"{work:.2f} ms of work over {variant.cores} cores"
    if variant.full.device_ms:
        parts = f"{work:.2f} ms over {variant.cores} cores, gpu {variant.full.device_ms:.2f} ms"
    text.append(f"; ideal {variant.ideal_per_s:.1f} frames/s ({parts})", style="none")
    if variant.latency_ms:
        listing = ", ".join(f"{key} {ms:.1f}" for key, ms in variant.latency_ms.items())
        text.append(f"\nlatency at batch 1, ms: {listing}; p99/p50 {variant.p99_over_p50:.2f}", style="none")
        listing = ", ".join(f"{key} {ms:.1f}" for key, ms in variant.answer_ms.items())
        text.append(f"\n  of that once decoded and prepared: {listing}", style="none")
    text.append(f"\nmemory, MiB: {variant.base_mib:.0f} with the model, ", style="none")
    return text.append(f"{variant.peak_mib:.0f} at most", style="none")


def _start(variant: Variant) -> Text:
    start = variant.start
    assert start is not None
    parts = ("python", "imports", "load", "compile", "first_output")
    parts_text = ", ".join(f"{part.replace('_', ' ')} {getattr(start, part):.2f}" for part in parts)
    torch = "with torch" if start.torch else "without torch"
    return Text(f"start, s: {start.total:.2f} to the first output, {torch}\n  {parts_text}\n")


def _noise(console: Console, report: BenchReport) -> None:
    rates = [variant.full for variant in report.variants]
    others = max((rate.others for rate in rates), default=float("nan"))
    spread = max((rate.most / rate.least - 1 for rate in rates if rate.least > 0), default=0.0)
    noise = f"noise: the rounds differ by {spread:.0%}"
    if isfinite(others):
        noise += f"; other programs took {others:.1f} cores"
    console.print(noise)
    if isfinite(others) and others > QUIET:
        text = "the machine is busy: trust the processor times (cpu ms), not the frames/s"
        console.print(Text(text, style="yellow"))
