"""The part of `Session` that looks before a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from rain.client.operations.operation import Operation
from rain.client.operations.twins import awaitable, blocking
from rain.client.session_contents import SessionContents

if TYPE_CHECKING:
    from rain.client.preflight.report import CheckReport
    from rain.client.session import Session


class Preflight(SessionContents):
    """What would fail, before it is submitted."""

    @blocking
    def check(
        self, *items: Any, raise_on_failure: bool = False, timeout: float | None = None
    ) -> Operation[CheckReport]:
        """Look for what would fail, before anything is submitted; nothing is run, sent, changed or loaded for it.

        It finds names that a function uses and nothing defines; modules and programs that a governor has not, on which
        the task may run; resources that no governor has; parts of functions and values that cannot be pickled; another
        Python there; paths that exist only here, and relative ones; large constants that are sent more than once.
        Governors are asked by executors beside those of tasks, so that busy ones answer too. Imports and names inside
        of a ``try`` with an ``except`` are left out, as are arguments of the same call behind the
        `CHECK_MEMBERS_MAX` first.

        Parameters
        ----------
        *items : Task, DataObject, callable, Program or any value
            What to look at: tasks, functions before any call, programs, and values that are to be arguments. All that
            is built and not submitted if not given.
        raise_on_failure : bool
            Whether to raise what would fail, instead of returning it.
        timeout : float, optional
            Seconds.

        Returns
        -------
        CheckReport
            True if nothing would fail. Its text is for people, its `problems` are for programs.

        Raises
        ------
        RainException
            With `raise_on_failure`, if something would fail.
        SessionException
            If the session is closed.
        TimeoutError

        Examples
        --------
        >>> with client.new_session("checked") as session:
        ...     bool(session.check(lambda x: x + undefined_name))
        False
        """
        from rain.client.preflight.check import check

        return self._checked(check(cast("Session", self), items, raise_on_failure))

    check_async = awaitable(check)
