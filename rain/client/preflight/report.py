"""What a check found: problems, and the text and the table that show them."""

from __future__ import annotations

import dataclasses
import html
from typing import TYPE_CHECKING

from rain.common.errors import RainException
from rain.common.formatting import one_line

if TYPE_CHECKING:
    from rain.client.session import Session
    from rain.client.task import Task

FAILURE, WARNING = "failure", "warning"
_SHOWN_MAX = 50


@dataclasses.dataclass(frozen=True, repr=False)
class Problem:
    """Something that stands in the way of tasks.

    Attributes
    ----------
    level : {"failure", "warning"}
        Whether tasks would fail, or might.
    what : str
        What would happen.
    cure : str
        What to do.
    subject : str
        What it is about, as text: ``task 'fit'``, ``function fit``.
    made : str
        Where in your code that was made; empty where that is not known.
    count : int
        How many tasks it is about; they were made by the same line.
    """

    level: str
    what: str
    cure: str
    subject: str
    made: str = ""
    count: int = 1
    _session: Session | None = dataclasses.field(default=None, compare=False)
    _number: int | None = dataclasses.field(default=None, compare=False)

    @property
    def task(self) -> Task | None:
        """The task, or the first of them; None if it is about something else."""
        if self._session is None or self._number is None:
            return None
        found: Task = self._session._object(self._number)  # type: ignore[assignment]
        return found

    @property
    def about(self) -> str:
        """One line: what it is about, and where that was made."""
        more = f" and {self.count - 1} more" if self.count > 1 else ""
        return f"{self.subject}{more}{f', {self.made}' if self.made else ''}"

    def __repr__(self) -> str:
        return f"<Problem ({self.level}) of {one_line(self.about)}: {one_line(self.what)}>"


class CheckReport:
    """What `Session.check` found. It is true if nothing was found that would fail.

    Attributes
    ----------
    problems : list of Problem
        Failures first; in the order in which the tasks were made.
    looked : str
        What was looked at, and which governors were asked.

    Examples
    --------
    >>> with client.new_session("checked") as session:
    ...     _ = tasks.Execute(["no-such-program"], name="tool")
    ...     report = session.check()
    ...     bool(report), report.problems[0].subject
    (False, "task 'tool'")
    """

    def __init__(self, problems: list[Problem], looked: str) -> None:
        self.problems = sorted(problems, key=lambda problem: problem.level != FAILURE)
        self.looked = looked

    @property
    def failures(self) -> list[Problem]:
        """What would fail."""
        return [problem for problem in self.problems if problem.level == FAILURE]

    @property
    def warnings(self) -> list[Problem]:
        """What might fail, or costs more than it need."""
        return [problem for problem in self.problems if problem.level != FAILURE]

    def __bool__(self) -> bool:
        return not self.failures

    def raise_failures(self) -> None:
        """Raise if something would fail.

        Raises
        ------
        RainException
            Its text is this report's.
        """
        if self.failures:
            raise RainException(str(self))

    def _counts(self) -> str:
        failures, warnings = len(self.failures), len(self.warnings)
        return f"{failures} failure{'s' * (failures != 1)}, {warnings} warning{'s' * (warnings != 1)}"

    def __str__(self) -> str:
        lines = [f"check of {self.looked}: {self._counts()}"]
        for problem in self.problems[:_SHOWN_MAX]:
            lines.append(f"{problem.level:<9}{one_line(problem.about)}")
            lines += [f"{'':<9}{one_line(problem.what)}", f"{'':<9}what to do: {one_line(problem.cure)}"]
        if len(self.problems) > _SHOWN_MAX:
            lines.append(f"… and {len(self.problems) - _SHOWN_MAX} more")
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        cell = '<td style="text-align:left;vertical-align:top;white-space:normal">'
        rows = []
        for problem in self.problems[:_SHOWN_MAX]:
            what = f"{html.escape(problem.what)}<br><i>What to do:</i> {html.escape(problem.cure)}"
            level = f"<b>{problem.level}</b>" if problem.level == FAILURE else problem.level
            rows.append(f"<tr>{cell}{level}</td>{cell}{html.escape(problem.about)}</td>{cell}{what}</td></tr>")
        more = len(self.problems) - _SHOWN_MAX
        head = f"<div>Check of {html.escape(self.looked)}: {self._counts()}</div>"
        table = f'<table style="color:inherit;font:inherit"><tbody>{"".join(rows)}</tbody></table>' if rows else ""
        return head + table + (f"<div>… and {more} more</div>" if more > 0 else "")
