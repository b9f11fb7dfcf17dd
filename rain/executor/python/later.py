"""What a function returned instead of a value: a coroutine or a generator, which is run to its end."""

from __future__ import annotations

from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any

LATER = frozenset({CoroutineType, GeneratorType, AsyncGeneratorType})


def run_to_end(value: Any, plain: bool) -> Any:
    """What a coroutine returns; of a plain function also the list of what a generator yields."""
    import asyncio

    if type(value) is CoroutineType:
        return asyncio.run(value)
    if not plain:
        return value
    return list(value) if type(value) is GeneratorType else asyncio.run(_listed(value))


async def _listed(values: Any) -> list[Any]:
    return [value async for value in values]
