"""A progress bar for those who wait longer than a moment."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from rain.client.session import Session

T = TypeVar("T")
PATIENCE_S = 0.25
_TICK_S = 0.1


def wait_patiently(session: Session, wait: Callable[..., T]) -> T:
    """What ``wait(timeout=...)`` returns; a bar of the session's tasks is shown if it takes more than `PATIENCE_S`."""
    try:
        return wait(timeout=PATIENCE_S)
    except TimeoutError:
        pass
    import tqdm.auto

    mirror = session._mirror
    bar: Any = tqdm.auto.tqdm(total=mirror.submitted, initial=mirror.finished, desc=session.name, unit="task")
    with bar:
        while True:
            try:
                return wait(timeout=_TICK_S)
            except TimeoutError:
                pass
            finally:
                bar.total = mirror.submitted
                bar.update(mirror.finished - bar.n)
