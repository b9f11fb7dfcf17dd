"""Rough sizes of the records that a session's history keeps."""

from __future__ import annotations

from typing import Any

from rain.common.spec import ObjectInfo, TaskInfo, TaskSpec

ITEM_BYTES = 150
"""What an item of a message is assumed to take beside the parts that are counted."""


def spec_bytes(spec: TaskSpec) -> int:
    """About what the variable parts of a task's spec take on the wire."""
    config = spec.config
    size = 0
    if type(config) is list:
        for part in config:
            if type(part) is bytes:
                size += len(part)
            elif part:
                size += rough_bytes(part)
    else:
        size += rough_bytes(config)
    if spec.user:
        size += rough_bytes(spec.user)
    return size


def rough_bytes(value: Any, depth: int = 3) -> int:
    """About what a plain value takes on the wire; long parts count, small ones are guessed."""
    if isinstance(value, (bytes, str)):
        return len(value)
    if depth and isinstance(value, (list, tuple)):
        return 8 * len(value) + sum(rough_bytes(item, depth - 1) for item in value[:1000])
    if depth and isinstance(value, dict):
        return 16 * len(value) + sum(rough_bytes(item, depth - 1) for item in list(value.values())[:1000])
    return 8


def info_bytes(info: TaskInfo | ObjectInfo | None) -> int:
    """About what the variable parts of an info take on the wire."""
    if info is None or not (info.debug or info.user or info.error):
        return 0
    return len(info.debug) + len(info.error or "") + (rough_bytes(info.user) if info.user else 0)
