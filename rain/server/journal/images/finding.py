"""Where in a graph something stands that an image cannot hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rain.server.journal.images.types import Codec


def path_to(codec: Codec, root: object, kind: type) -> str:
    """The way from the root to the nearest object of a class, as ``root.sessions[3].name``."""
    found: dict[int, str] = {id(root): "root"}
    alive: list[Any] = [root]
    for value in alive:
        path = found[id(value)]
        if type(value) is kind:
            return path
        for label, item in _inside(codec, value):
            if id(item) not in found:
                found[id(item)] = path + label
                alive.append(item)
    return "something that was made for the image"


def _inside(codec: Codec, value: Any) -> Iterator[tuple[str, Any]]:
    known = codec.types.get(type(value))
    if isinstance(value, dict):
        for key, item in value.items():
            yield f"[{key!r}]", item
            yield ".keys()", key
    elif isinstance(value, (list, tuple, set, frozenset)) or type(value).__name__ == "deque":
        for number, item in enumerate(value):
            yield f"[{number}]", item
    elif known is not None:
        for name in known.fields:
            item = getattr(value, name, None)
            yield f".{name}", item
