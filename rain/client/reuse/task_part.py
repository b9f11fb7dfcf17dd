"""The part of `Task` that tells about reuse between runs."""

from __future__ import annotations

from rain.client.building.member import MemberHandle


class ReuseOfTask(MemberHandle):
    """Whether a task's result is that of an earlier run."""

    __slots__ = ()

    @property
    def reused(self) -> bool:
        """Whether the result is that of an earlier run, so that the task did not run in this session."""
        return self._columns is None and bool(self._record.reused)

    @property
    def reuse(self) -> str | None:
        """Why the result of an earlier run was reused, or why the task was computed: which line of its function, which
        value, argument, input or library has changed since. None for tasks without ``cache=``, and before submit.

        Examples
        --------
        >>> import tempfile
        >>> def run(folder):
        ...     with client.new_session("again", cache=folder) as session:
        ...         power = session.call(pow, 2, 5)
        ...         session.run(power)
        ...         return power.reused
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     run(folder), run(folder)
        (False, True)
        """
        reuse = self._record.reuse
        return None if reuse is None else reuse.text or None
