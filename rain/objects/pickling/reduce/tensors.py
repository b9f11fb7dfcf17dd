"""torch's tensors, whose own pickles copy all of the storage behind them, however little of it they show.

Memory that tensors of the value show is written once, in segments: tensors that share bytes share a segment, and are
views of one storage again when they are loaded. What no tensor shows is left out. For that all tensors of the value are
collected before the first is written.

Tensors cannot be read-only: they need memory that may be written when they are loaded.

A tensor on a GPU is written as the tensor in main memory that holds its values, and goes back to its device when it
is loaded. Tensors that share a GPU's memory do not share it again, as with torch's own pickles.
"""

from __future__ import annotations

import bisect
import ctypes
import functools
import math
import operator
import pickle
import sys
from typing import Any

from rain.objects.pickling.reduce import Call, Reducer, Reduction

LARGE_BYTES = 64 * 1024
"""Tensors of smaller storages are left to torch."""
_ALIGNMENT = 16
"""No item is larger: segments begin at a multiple of it, so that each of their tensors begins at one of its items."""


def reducer_of(kind: type) -> Reducer | None:
    """The reducer for tensors; subclasses, parameters among them, reduce to plain ones by themselves."""
    torch = sys.modules.get("torch")
    return Reducer(_memory, _reduce, _collect) if torch is not None and kind is torch.Tensor else None


def _memory(tensor: Any) -> int:
    return _bounds(tensor)[3] if _is_plain(tensor) else 0


def _is_plain(tensor: Any) -> bool:
    import torch

    return (
        tensor.device.type in ("cpu", "cuda")
        and tensor.layout is torch.strided
        and not (tensor.is_quantized or tensor.is_nested or tensor.is_conj() or tensor.is_neg())
        and not (tensor.__dict__ or tensor._backward_hooks)
        and not any(getattr(tensor, "names", ()))
        and tensor.numel() > 0
    )


def _bounds(tensor: Any) -> tuple[int, int, int, int]:
    """Addresses of the first byte that it shows, and behind the last; then start and size of its storage."""
    storage = tensor.untyped_storage()
    base, size = storage.data_ptr(), storage.nbytes()
    low = tensor.data_ptr()
    last = sum(stride * (extent - 1) for stride, extent in zip(tensor.stride(), tensor.shape, strict=True))
    return low, low + (last + 1) * tensor.element_size(), base, size


def _collect(tensor: Any, reduction: Reduction) -> None:
    if not _is_plain(tensor) or tensor.is_cuda:
        return
    low, high, base, size = _bounds(tensor)
    if size >= LARGE_BYTES and base:
        low -= (low - base) % _ALIGNMENT
        reduction.parts.setdefault("tensors", []).append((low, high, tensor))


class _Segment:
    """A piece of memory that tensors show; `storage` is pickled as a storage of it."""

    __slots__ = ("high", "low", "shows", "storage")

    def __init__(self, low: int, high: int, tensor: Any) -> None:
        self.low, self.high = low, high
        self.shows = {_view_of(tensor): tensor}
        self.storage: Call | None = None


def _view_of(tensor: Any) -> tuple[Any, ...]:
    """What two tensors that show the same have in common."""
    return tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride()


def _reduce(tensor: Any, reduction: Reduction) -> Any:
    import torch

    if not _is_plain(tensor):
        return NotImplemented
    low, high, base, size = _bounds(tensor)
    if size < LARGE_BYTES or not base:
        return NotImplemented
    reduction.used = True
    if tensor.is_cuda:
        return _reduce_on_gpu(tensor)
    segment = _segment_of(reduction, low - (low - base) % _ALIGNMENT, high, tensor)
    start, strides = (low - segment.low) // tensor.element_size(), tensor.stride()
    shown = tensor
    if len(segment.shows) == 1:
        compact = _compact(tensor)
        if compact is not None:
            shown, strides = compact
            start = 0
    if segment.storage is None:
        span = (segment.low, segment.high) if shown is tensor else _bounds(shown)[:2]
        memory = pickle.PickleBuffer((ctypes.c_char * (span[1] - span[0])).from_address(span[0]))
        reduction.live[id(memory)] = (memory, shown)
        flat = Call(functools.partial(torch.frombuffer, dtype=torch.uint8), memory)
        segment.storage = Call(operator.methodcaller("untyped_storage"), flat)
    view = operator.methodcaller("set_", segment.storage, start, tuple(tensor.shape), strides)
    empty = Call(functools.partial(torch.empty, 0, dtype=tensor.dtype, device="cpu"))
    if not tensor.requires_grad:
        return view, (empty,)
    return operator.methodcaller("requires_grad_"), (Call(view, empty),)


def _reduce_on_gpu(tensor: Any) -> Any:
    core = tensor.detach()
    repeated = [size > 1 and not stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True)]
    for dimension, again in enumerate(repeated):
        if again:
            core = core.narrow(dimension, 0, 1)
    host = core.cpu()
    value: Any = Call(operator.methodcaller("to", str(tensor.device)), host)
    if any(repeated):
        strides = tuple(0 if again else stride for again, stride in zip(repeated, host.stride(), strict=True))
        value = Call(operator.methodcaller("as_strided", tuple(tensor.shape), strides), value)
    if tensor.requires_grad:
        value = Call(operator.methodcaller("requires_grad_"), value)
    return value.__reduce__()


def _compact(tensor: Any) -> tuple[Any, tuple[int, ...]] | None:
    """A copy without what lies between its items, repeated ones once, with the strides that show all; None if there
    is nothing between."""
    shape, strides = tensor.shape, tensor.stride()
    low, high = _bounds(tensor)[:2]
    items = math.prod(extent for extent, stride in zip(shape, strides, strict=True) if stride)
    if high - low <= items * tensor.element_size():
        return None
    core = tensor.detach()
    for dimension, stride in enumerate(strides):
        if not stride:
            core = core.narrow(dimension, 0, 1)
    core = core.contiguous()
    return core, tuple(new if old else 0 for new, old in zip(core.stride(), strides, strict=True))


def _segment_of(reduction: Reduction, low: int, high: int, tensor: Any) -> _Segment:
    """The segment with these bytes; of a tensor that was not collected, because it is new, one of its own."""
    parts = reduction.parts
    if "segments" not in parts:
        parts["segments"] = _joined(parts.get("tensors", []))
    segments: list[_Segment] = parts["segments"]
    number = bisect.bisect_right(segments, low, key=lambda segment: segment.low) - 1
    if number >= 0 and high <= segments[number].high:
        return segments[number]
    segment = _Segment(low, high, tensor)
    parts.setdefault("new", []).append(segment)
    return segment


def _joined(tensors: list[tuple[int, int, Any]]) -> list[_Segment]:
    """Pieces of memory that overlap become one."""
    segments: list[_Segment] = []
    for low, high, tensor in sorted(tensors, key=lambda piece: piece[:2]):
        if segments and low < segments[-1].high:
            segments[-1].high = max(segments[-1].high, high)
            segments[-1].shows[_view_of(tensor)] = tensor
        else:
            segments.append(_Segment(low, high, tensor))
    return segments
