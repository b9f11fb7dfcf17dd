"""Previews of arrays: shape, type, first values, and how their numbers are distributed."""

from __future__ import annotations

import math
import sys
from typing import Any

from rain.common.protocol.previews import Head, Histogram, Preview
from rain.executor.views.pictures import picture_of_pixels
from rain.executor.views.texts import bytes_text, shape_text, short_text, type_text

ROWS, COLUMNS, VALUES = 10, 10, 40
"""What is shown of a table, and of an array without rows."""
_ALL_MAX = 1 << 18
"""Numbers up to which all of them are counted."""
_BLOCKS, _BLOCK = 64, 1024
"""What is counted of more: blocks of numbers at equal distances, so that few pages of a mapped file are read."""
_BINS = 24


def array_preview(value: Any) -> Preview | None:
    """Of NumPy's, torch's and SciPy's sparse arrays; None for anything else."""
    numpy, torch, sparse = (sys.modules.get(name) for name in ("numpy", "torch", "scipy.sparse"))
    kind = type_text(type(value))
    if numpy is not None and isinstance(value, numpy.ndarray):
        return _of_array(numpy, value, kind)
    if torch is not None and isinstance(value, torch.Tensor):
        facts = [("device", str(value.device)), ("requires grad", str(value.requires_grad))]
        if value.is_sparse or value.device.type != "cpu" or value.dtype is torch.bfloat16:
            return Preview(type=kind, summary=[("shape", shape_text(value.shape)), ("dtype", str(value.dtype)), *facts])
        return _of_array(numpy, value.detach().numpy(), kind, [("dtype", str(value.dtype)), *facts])
    if sparse is not None and sparse.issparse(value):
        facts = [("shape", shape_text(value.shape)), ("dtype", str(value.dtype)), ("stored values", f"{value.nnz:,}")]
        stored = getattr(value, "data", None)
        numbers = isinstance(stored, numpy.ndarray) and stored.dtype != object  # type: ignore[union-attr]
        return Preview(
            type=kind,
            summary=facts,
            text=_first_values(stored) if numbers else "",
            histogram=histogram_of(stored) if numbers else None,
        )
    return None


def _of_array(numpy: Any, array: Any, kind: str, more: list[tuple[str, str]] | None = None) -> Preview:
    facts = [("shape", shape_text(array.shape)), *(more or [("dtype", str(array.dtype))])]
    facts.append(("memory", bytes_text(array.nbytes)))
    plain = numpy.asarray(array)
    if plain is not array and isinstance(array, numpy.ma.MaskedArray):
        facts.append(("masked", f"{int(numpy.ma.count_masked(array)):,}"))
    picture = picture_of_pixels(plain) if plain.dtype == numpy.uint8 and plain.ndim in (2, 3) else None
    head = _head(array) if plain.ndim == 2 or (plain.ndim == 1 and plain.dtype.names) else None
    return Preview(
        type=kind,
        summary=facts + _statistics(numpy, plain),
        text="" if head is not None else _first_values(array),
        head=head if picture is None else None,
        histogram=histogram_of(plain),
        picture=picture,
    )


def _head(array: Any) -> Head:
    names = array.dtype.names if array.ndim == 1 else None
    if names:
        shown = names[:COLUMNS]
        columns = [(short_text(name), str(array.dtype[name])) for name in shown]
        rows = [[short_text(row[name].item()) for name in shown] for row in array[:ROWS]]
    else:
        columns = [(str(number), "") for number in range(min(array.shape[1], COLUMNS))]
        rows = [list(map(short_text, row)) for row in array[:ROWS, :COLUMNS].tolist()]
    return Head(columns, [str(number) for number in range(len(rows))], rows)


def _first_values(array: Any) -> str:
    """The first values along the last axis."""
    values = array
    while values.ndim > 1:
        if not len(values):
            return ""
        values = values[0]
    if values.ndim == 0:
        return short_text(values.item())
    shown = ", ".join(map(short_text, values[:VALUES].tolist()))
    return shown + (", …" if len(values) > VALUES or array.ndim > 1 else "")


def _sample(numpy: Any, array: Any) -> tuple[Any, str]:
    """Numbers of an array in one dimension, and what they are."""
    if array.size <= _ALL_MAX:
        return array.reshape(-1), "all values"
    if not (array.flags.c_contiguous or array.flags.f_contiguous):
        return array[tuple(slice(64) for _ in array.shape)].reshape(-1), "the first values of each axis"
    flat = array.reshape(-1, order="A")
    starts = numpy.linspace(0, flat.size - _BLOCK, _BLOCKS).astype(int)
    picked = numpy.concatenate([flat[start : start + _BLOCK] for start in starts])
    return picked, f"{picked.size:,} of {flat.size:,} values"


def _statistics(numpy: Any, array: Any) -> list[tuple[str, str]]:
    if array.dtype.kind not in "iufb" or not array.size:
        return []
    values, of = _sample(numpy, array)
    facts = []
    if array.dtype.kind == "b":
        return [("true", f"{int(values.sum()):,} of {values.size:,}")]
    if array.dtype.kind == "f":
        finite = numpy.isfinite(values)
        if not finite.all():
            facts.append(("not finite", f"{int((~finite).sum()):,} of {values.size:,}"))
            values = values[finite]
        if not values.size:
            return facts
        values = values.astype(numpy.float64)
    low, mean, high = (short_text(float(part)) for part in (values.min(), values.mean(), values.max()))
    where = "" if of == "all values" else f" (of {of})"
    return [*facts, ("min, mean, max", f"{low}, {mean}, {high}{where}")]


def histogram_of(array: Any) -> Histogram | None:
    """How the numbers of a NumPy array are distributed; None where it has none, or they are all the same."""
    numpy = sys.modules["numpy"]
    if array.dtype.kind not in "iuf" or array.size < 2:
        return None
    values, of = _sample(numpy, array)
    values = values.astype(numpy.float64)
    values = values[numpy.isfinite(values)]
    if values.size < 2 or values.min() == values.max() or not math.isfinite(float(values.max()) - float(values.min())):
        return None
    counts, edges = numpy.histogram(values, bins=_BINS)
    return Histogram(counts.tolist(), short_text(float(edges[0])), short_text(float(edges[-1])), of)
