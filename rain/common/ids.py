"""Ids of tasks and data objects."""

from __future__ import annotations

from typing import NamedTuple


class ID(NamedTuple):
    """Id of a task or a data object.

    Tasks and objects of a session share one sequence of numbers.

    Attributes
    ----------
    session_id : int
    id : int

    Examples
    --------
    >>> ID(3, 14)
    3/14
    >>> ID.parse("3/14").id
    14
    """

    session_id: int
    id: int

    def __repr__(self) -> str:
        return f"{self.session_id}/{self.id}"

    def __str__(self) -> str:
        return f"{self.session_id}/{self.id}"

    @classmethod
    def parse(cls, text: str) -> ID:
        """The id that `repr` wrote.

        Parameters
        ----------
        text : str
            Of the form ``session/id``.

        Returns
        -------
        ID

        Raises
        ------
        ValueError
            If `text` is not of the form ``session/id``.
        """
        session, slash, number = text.partition("/")
        if not slash:
            raise ValueError(f"{text!r} is not an id of the form session/id")
        return cls(int(session), int(number))
