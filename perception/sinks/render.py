"""The picture of one output: boxes, returns and truth over the recorded image, and a status panel below.

Colours are safe for colour-blind people (`palette`), and nothing is shown by colour alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from perception.models.preprocess import InputSpec, image_pixels
from perception.models.preprocess.pixels import UnusableImage
from perception.sinks.annotations import caption, image_size, notices, placed, short_caption, worth_drawing
from perception.sinks.canvas import (
    Box,
    Canvas,
    chip,
    chip_box,
    dashed,
    dots,
    fill,
    fitted,
    outline,
    put_text,
    text_width,
)
from perception.sinks.palette import VERMILION, WHITE, class_colour
from perception.sinks.picture_returns import FAR_M, NEAR_M, picture_returns, range_colours
from perception.sinks.run_info import RunInfo
from perception.sinks.status_panel import BACK, DIM, draw_panel, panel_height
from perception.types import Detection, Output, Sample, TruthFrame

_NIGHT = (14, 15, 18)


@dataclass(frozen=True, slots=True)
class FrameLayout:
    """The size of a video frame, the same for a whole video. All are px; `width` and `height` are even.

    Attributes:
        width, picture_height: The picture's part of the frame, at its top.
        unit: The size of text.
    """

    width: int
    picture_height: int
    unit: float

    @property
    def height(self) -> int:
        return self.picture_height + panel_height(self.unit)


def layout_for(source: tuple[int, int] | None, max_width: int = 1280, max_height: int = 960) -> FrameLayout:
    """Return the layout for source images of (width, height); 16:9 where that is not known.

    Pictures narrower than 640 px grow, so that words can be read; wide or tall ones shrink.
    """
    width, height = source or (1280, 720)
    scale = min(max(1.0, 640 / width), max_width / width, max_height / height)
    frame_width = max(_even(width * scale), min(640, _even(max_width)))
    return FrameLayout(frame_width, _even(height * scale), max(10.0, frame_width / 80))


@dataclass(frozen=True, slots=True)
class _Place:
    """The place of the source image in the frame: scaled without distortion, centred."""

    scale: float
    left: float
    top: float

    def box(self, xyxy: Box) -> Box:
        x1, y1, x2, y2 = xyxy
        s = self.scale
        return self.left + s * x1, self.top + s * y1, self.left + s * x2, self.top + s * y2


def picture_size(layout: FrameLayout, source: tuple[int, int]) -> tuple[int, int]:
    """Return the size (width, height) of `picture` that `render` expects for a source image."""
    scale = min(layout.width / source[0], layout.picture_height / source[1])
    return (
        min(max(1, round(source[0] * scale)), layout.width),
        min(max(1, round(source[1] * scale)), layout.picture_height),
    )


def draw(
    sample: Sample,
    output: Output,
    truth: TruthFrame | None = None,
    *,
    run: RunInfo | None = None,
    max_width: int = 1280,
    min_score: float = 0.3,
) -> Canvas:
    """Return the recorded picture of a sample with an output drawn over it, and the status panel below.

    Args:
        sample: The sample; where its picture is absent or does not decode, the canvas is dark and says why.
        output: Its boxes, and its control in the panel.
        truth: Drawn as dashed boxes, where it is known.
        run: Chooses the colours of classes, and whether untrained weights are marked.
        max_width: The largest width of the frame, px. Pictures narrower than 640 px grow.
        min_score: Detections below it are not drawn.

    Returns:
        uint8 RGB [H, W, 3], the caller's own.
    """
    layout = layout_for(image_size(sample), max_width)
    sample, picture = picture_of(sample, layout)
    return render(picture, layout, sample, output, run, truth, min_score)


def picture_of(sample: Sample, layout: FrameLayout) -> tuple[Sample, Canvas | None]:
    """Return the sample and its image at the size `render` wants, uint8 RGB [h, w, 3].

    An image that does not decode is None, and absent in the sample, with the reason. Images of 16 bits,
    such as depth, are stretched to the brightness they span.
    """
    frame = sample.camera.value
    if frame is None:
        return sample, None
    width, height = picture_size(layout, (frame.width, frame.height))
    try:
        pixels = image_pixels(frame, InputSpec(width=width, height=height))
    except UnusableImage as error:
        return sample.with_absent({"camera": str(error)}), None
    if frame.format.lower() == "mono16":
        low, high = int(pixels.min()), int(pixels.max())
        pixels = ((pixels.astype(np.float32) - low) * (255.0 / max(1, high - low))).astype(np.uint8)
    return sample, np.ascontiguousarray(pixels.transpose(1, 2, 0))


def render(
    picture: Canvas | None,
    layout: FrameLayout,
    sample: Sample,
    output: Output,
    run: RunInfo | None = None,
    truth: TruthFrame | None = None,
    min_score: float = 0.3,
    frozen_s: Mapping[str, float] | None = None,
) -> Canvas:
    """Draw one output over its image.

    Args:
        picture: uint8 RGB [h, w, 3] or grey [h, w] at most as large as the layout's picture; None where
            the camera gave none: the canvas is dark then, and all the rest is drawn.
        layout: From `layout_for`, the same for every frame of a video.
        min_score: Detections below it are not drawn.
        frozen_s: Input -> for how long it has shown the same content under new stamps, where it has.

    Returns:
        uint8 RGB [layout.height, layout.width, 3], the caller's own.
    """
    run = run or RunInfo()
    canvas: Canvas = np.empty((layout.height, layout.width, 3), dtype=np.uint8)
    canvas[:] = _NIGHT
    view = canvas[: layout.picture_height]
    source = image_size(sample) or (layout.width, layout.picture_height)
    place = _show_picture(view, picture, source, layout)
    if picture is None:
        _draw_absence(view, sample, layout.unit)
    ranged = _draw_returns(view, sample, source, place)
    known = [] if truth is None else [box for box in truth.boxes or () if placed(box.xyxy)]
    for box in known:
        dashed(view, place.box(box.xyxy), WHITE, layout.unit / 2.5)
    area = 0, 0, view.shape[1], view.shape[0]
    kept = [item for item in worth_drawing(output, min_score) if _overlap(place.box(item.xyxy), area)]
    _draw_detections(view, kept, place, layout.unit, run)
    _draw_notices(view, notices(output, run), layout.unit)
    shown, ranges_m = len(kept), (NEAR_M, FAR_M) if ranged else None
    top, unit = layout.picture_height, layout.unit
    draw_panel(canvas, top, unit, sample, output, shown, frozen_s, ranges_m=ranges_m, truth=bool(known))
    return canvas


def _show_picture(
    view: Canvas, picture: Canvas | None, source: tuple[int, int], layout: FrameLayout
) -> _Place:
    width, height = picture_size(layout, source)
    if picture is not None:
        height, width = picture.shape[:2]
    left, top = (view.shape[1] - width) // 2, (view.shape[0] - height) // 2
    if picture is not None:
        colour = picture if picture.ndim == 3 else picture[:, :, None]
        view[top : top + height, left : left + width] = colour
    return _Place(width / source[0], left, top)


def _draw_absence(view: Canvas, sample: Sample, unit: float) -> None:
    text = f"no image: {sample.camera.reason or 'absent'}"
    size = 1.4 * unit
    text = fitted(text, view.shape[1] - 2 * size, size)
    x = (view.shape[1] - text_width(text, size)) / 2
    put_text(view, text, x, 0.88 * view.shape[0], size, DIM)


def _draw_returns(view: Canvas, sample: Sample, source: tuple[int, int], place: _Place) -> bool:
    """Draw the returns inside the image, nearest on top. Returns False where the rig cannot place them."""
    returns = picture_returns(sample, source)
    if returns is None:
        return False
    pixels, range_m = returns
    shown = pixels * place.scale + (place.left, place.top)
    size = max(2, round(view.shape[1] / (560 if len(shown) > 2000 else 200)))
    dots(view, shown, range_colours(range_m), size)
    return True


def _draw_detections(view: Canvas, items: list[Detection], place: _Place, unit: float, run: RunInfo) -> None:
    thickness = max(2, round(unit / 7))
    for item in reversed(items):  # the surest on top
        outline(view, place.box(item.xyxy), class_colour(item.label, run.classes), thickness)
    taken: list[Box] = []
    size = 0.85 * unit
    for item in items:  # the surest gets the best place for its words
        edges = place.box(item.xyxy)
        for words in (caption(item), short_caption(item)):
            box = _free_place(chip_box(words, edges[0], edges[1], size), edges, taken, view)
            if box is not None:
                taken.append(box)
                chip(view, words, box, size, class_colour(item.label, run.classes))
                break


def _free_place(box: Box, edges: Box, taken: list[Box], view: Canvas) -> Box | None:
    """Return a free place for a caption: above the box, inside its top, below, inside its bottom, or higher.

    None where every place is taken: in a crowd, a box without a caption reads better than overlapping ones.
    """
    width, height = box[2] - box[0], box[3] - box[1]
    limit = max(0.0, view.shape[1] - width), max(0.0, view.shape[0] - height)
    for x in (edges[0], edges[2] - width):
        for y in (edges[1] - height, edges[1], edges[3], edges[3] - height, edges[1] - 2 * height):
            left, top = min(max(x, 0.0), limit[0]), min(max(y, 0.0), limit[1])
            place = left, top, left + width, top + height
            if not any(_overlap(place, other) for other in taken):
                return place
    return None


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _draw_notices(view: Canvas, lines: list[str], unit: float) -> None:
    """Draw warnings as banners across the top."""
    height = 2.0 * unit
    for index, line in enumerate(lines):
        y = index * height
        fill(view, (0, y, view.shape[1], y + height), BACK)
        fill(view, (0, y, view.shape[1], y + height - 2), VERMILION)
        text = fitted(line, view.shape[1] - 2 * unit, 1.1 * unit, bold=True)
        x = (view.shape[1] - text_width(text, 1.1 * unit, bold=True)) / 2
        put_text(view, text, x, y + height / 2 - 1, 1.1 * unit, WHITE, bold=True)


def _even(value: float) -> int:
    return max(2, 2 * round(value / 2))
