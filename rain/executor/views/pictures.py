"""Previews of figures and images, as small PNGs."""

from __future__ import annotations

import io
import struct
import sys
import zlib
from typing import Any

from rain.common.limits import PREVIEW_BYTES_MAX
from rain.common.protocol.previews import Picture, Preview
from rain.executor.views.texts import type_text

PICTURE_BYTES_MAX = PREVIEW_BYTES_MAX * 7 // 8
"""What a picture may take of a preview."""
_EXTENTS = (320, 256, 192, 128, 96, 64, 48, 32)
"""Pixels along the longer side that are tried."""
_COLOURS = 32
_SIDE_MIN = 8
"""A smaller array of bytes is taken for numbers, not for a picture."""


def picture_preview(value: Any) -> Preview | None:
    """Of Matplotlib's figures and axes, and of Pillow's images; None for anything else."""
    figures, images = sys.modules.get("matplotlib.figure"), sys.modules.get("PIL.Image")
    kind = type_text(type(value))
    if figures is not None:
        figure = getattr(value, "figure", None) if type(value).__module__.startswith("matplotlib.") else None
        if isinstance(figure, figures.Figure):
            width, height = figure.get_size_inches()
            titles = [axes.get_title() for axes in figure.axes]
            facts = [("size", f"{width:g} x {height:g} inches"), ("axes", str(len(figure.axes)))]
            facts += [("title", title) for title in titles[:4] if title]
            return Preview(type=kind, summary=facts, picture=_of_figure(figure))
    if images is not None and isinstance(value, images.Image):
        facts = [("size", f"{value.width:,} x {value.height:,} pixels"), ("mode", str(value.mode))]
        return Preview(type=kind, summary=facts, picture=_fitted(value))
    return None


def _of_figure(figure: Any) -> Picture | None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    width, height = figure.get_size_inches()
    dpi, before = figure.get_dpi(), figure.canvas
    try:
        figure.set_dpi(_EXTENTS[0] / max(width, height, 0.1))
        canvas: Any = FigureCanvasAgg(figure)
        canvas.draw()
        return _fitted(Image.fromarray(_array_of(canvas.buffer_rgba())))
    finally:  # it may be the running task's own (`ctx.show`)
        figure.set_canvas(before)
        figure.set_dpi(dpi)


def _array_of(pixels: Any) -> Any:
    import numpy

    return numpy.asarray(pixels)[:, :, :3]


def _fitted(image: Any) -> Picture | None:
    """The largest picture of an image that has few enough bytes."""
    if not image.width or not image.height:
        return None
    image = image.reduce(max(1, max(image.size) // (4 * _EXTENTS[0]))) if image.mode in ("L", "RGB", "RGBA") else image
    image = image.convert("RGB")
    for extent in _EXTENTS:
        small = image.copy()
        small.thumbnail((extent, extent))
        file = io.BytesIO()
        small.quantize(_COLOURS).save(file, "PNG", optimize=True)
        if file.tell() <= PICTURE_BYTES_MAX:
            return Picture(file.getvalue(), small.width, small.height)
    return None


def picture_of_pixels(array: Any) -> Picture | None:
    """An array of bytes in two dimensions, or in three of which the last has 3 or 4, as a picture."""
    if array.ndim == 3 and array.shape[2] not in (3, 4):
        return None
    height, width = array.shape[:2]
    if min(height, width) < _SIDE_MIN:
        return None
    for extent in _EXTENTS:
        step = -(-max(height, width) // extent)
        small = array[::step, ::step]
        data = _png(small)
        if len(data) <= PICTURE_BYTES_MAX:
            return Picture(data, small.shape[1], small.shape[0])
    return None


def _png(array: Any) -> bytes:
    height, width = array.shape[:2]
    colour = {1: 0, 3: 2, 4: 6}[1 if array.ndim == 2 else array.shape[2]]
    lines = b"".join(b"\0" + row.tobytes() for row in array)
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    )
