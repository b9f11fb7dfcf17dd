"""What a session's code needs of its client beside its data: paths at each submit, and sources of modules."""

from __future__ import annotations

from rain.common.protocol.messages import SessionEnv
from rain.common.task_configs import UserModule


class Environments:
    """The environments of one session, by number.

    Attributes
    ----------
    current : int
        That of the next tasks.
    modules : dict of str to UserModule
        Sources that executors on other hosts may ask for.
    changed : bool
        Whether one of them is another one than before, so that the next tasks need a new environment.
    sent : dict of str to set of int
        Which ones a governor was sent.
    waits : dict of str to list of str
        Modules that the client was asked for, and the governors that wait for the answer.
    """

    __slots__ = ("_all", "_next", "_usable_from", "changed", "current", "modules", "sent", "waits")

    def __init__(self, env: SessionEnv) -> None:
        self._all = {0: env}
        self._next = 1
        self._usable_from = 0
        self.current = 0
        self.modules: dict[str, UserModule] = {}
        self.changed = False
        self.sent: dict[str, set[int]] = {}
        self.waits: dict[str, list[str]] = {}

    def get(self, number: int) -> SessionEnv:
        """An environment; the present one if that number was let go."""
        return self._all.get(number) or self._all[self.current]

    def use(self, env: SessionEnv, count_max: int) -> None:
        """The next tasks have this one, under a number that tasks had only while the same modules were there."""
        if self.changed:
            self._usable_from = self._next
            self.changed = False
        for number, known in self._all.items():
            if number >= self._usable_from and known == env:
                self.current = number
                return
        self.current = self._next
        self._all[self._next] = env
        self._next += 1
        if len(self._all) > count_max:
            del self._all[next(iter(self._all))]
