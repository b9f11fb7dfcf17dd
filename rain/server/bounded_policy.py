"""A scheduling policy from outside, bounded in time: a call that does not end is interrupted and raises an error.

The server has one thread, so an endless loop in a policy would end all service. Around each piece of a policy's code a
timer of processor time runs, whose signal raises an error in it: a busy machine takes nothing from the policy, and what
the server does itself is not interrupted. Rain's own policy runs without. Only Python code can be interrupted; a
policy that stays in one call of a C function is beyond it.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import FrameType
from typing import TypeVar

from rain.common.errors import RainException
from rain.common.limits import POLICY_S
from rain.server.records.family import Members
from rain.server.records.governor import Governor
from rain.server.records.session import Session
from rain.server.records.task import Task
from rain.server.scheduling.policy import SchedulingPolicy
from rain.server.scheduling.view import ClusterView

T = TypeVar("T")


class PolicyTooSlow(RainException):
    """A policy used up its time."""


class _Interrupted(BaseException):
    """Raised in the policy's code; no ``except Exception`` of its own keeps it."""

    def __init__(self, frame: FrameType | None) -> None:
        super().__init__()
        self.where = "" if frame is None else f" ({frame.f_code.co_filename}, line {frame.f_lineno})"


class BoundedPolicy(SchedulingPolicy):
    """A policy of which no call takes longer than a limit; to be made and used in the main thread.

    Parameters
    ----------
    make : callable
        Makes the policy.
    limit_s : float
        Seconds of processor time for each call, and for each iteration over what a call gave.

    Attributes
    ----------
    policy : SchedulingPolicy
        The one from outside.

    Raises
    ------
    PolicyTooSlow
        From each method, and when the policy is made.
    """

    def __init__(self, make: Callable[[], SchedulingPolicy], limit_s: float = POLICY_S) -> None:
        self._limit_s = limit_s
        self._running = ""
        signal.signal(signal.SIGVTALRM, self._interrupt)
        self.policy = self._bounded("its constructor", limit_s, make)

    def task_ready(self, task: Task) -> None:
        self._bounded("task_ready", self._limit_s, self.policy.task_ready, task)

    def task_withdrawn(self, task: Task) -> None:
        self._bounded("task_withdrawn", self._limit_s, self.policy.task_withdrawn, task)

    def assignments(self, view: ClusterView, now: float) -> Iterable[tuple[Task | Members, Governor]]:
        return self._iterated("assignments", self.policy.assignments, view, now)

    def steals(self, view: ClusterView) -> Iterable[tuple[Governor, Sequence[Task | Members]]]:
        return self._iterated("steals", self.policy.steals, view)

    def governor_lost(self, governor: Governor) -> None:
        self._bounded("governor_lost", self._limit_s, self.policy.governor_lost, governor)

    def session_ended(self, session: Session) -> None:
        self._bounded("session_ended", self._limit_s, self.policy.session_ended, session)

    def _iterated(self, name: str, method: Callable[..., Iterable[T]], *args: object) -> Iterator[T]:
        """What a method gives one by one; its time does not run while the server looks at what it gave."""
        left_s = self._limit_s
        items: Iterator[T] | None = None
        while True:
            begin = time.thread_time()
            if items is None:
                items = iter(self._bounded(name, left_s, method, *args))
            try:
                item = self._bounded(name, left_s, next, items)
            except StopIteration:
                return
            left_s -= time.thread_time() - begin
            if left_s <= 0:
                raise self._too_slow(name, "")
            yield item

    def _bounded(self, name: str, limit_s: float, function: Callable[..., T], *args: object) -> T:
        try:
            self._running = name
            signal.setitimer(signal.ITIMER_VIRTUAL, limit_s)
            try:
                return function(*args)
            finally:
                self._running = ""
                signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        except _Interrupted as interrupted:
            raise self._too_slow(name, interrupted.where) from None

    def _interrupt(self, _number: int, frame: FrameType | None) -> None:
        if self._running:
            raise _Interrupted(frame)

    def _too_slow(self, name: str, where: str) -> PolicyTooSlow:
        return PolicyTooSlow(f"{name} was interrupted after {self._limit_s:g} s of processor time (POLICY_S){where}")
