"""The same as `bodies`, as Rain's remote functions are written: the context comes first."""

from __future__ import annotations

from typing import Any

import bodies


def noop(ctx: Any, i: int) -> int:
    return i


def inc(ctx: Any, x: int) -> int:
    return x + 1


def leaf(ctx: Any, i: int) -> bytes:
    return b"x" * (i & 1)


def concat(ctx: Any, a: bytes, b: bytes) -> bytes:
    return (a + b)[:1]


def make_array(ctx: Any, mib: int) -> Any:
    return bodies.make_array(mib)


def make_bytes(ctx: Any, mib: int) -> bytes:
    return bodies.make_bytes(mib)


def consume(ctx: Any, data: Any) -> tuple[int, int]:
    return bodies.consume(data)


def total(ctx: Any, values: list[int]) -> int:
    return sum(values)


def gate(ctx: Any, path: str) -> int:
    return bodies.gate(path)


def after(ctx: Any, i: int, gate: int) -> int:
    return i


def count(ctx: Any, values: list[int]) -> int:
    return len(values)
