"""Images of another version of Rain: the columns of a table there as those that the class has here.

A field that is new here gets its default. A field that the class does not have here any more is refused by its name,
unless a `Migration` says what becomes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from rain.server.journal.images.types import UNSET, Column, ImageError, Records, Type

Columns = list[Column]
Fit = Callable[[int, Columns], Columns]
"""Given the number of rows and the columns of an image, the columns of the class."""


class Migration(NamedTuple):
    """What becomes of fields of a class that has other ones now.

    Attributes
    ----------
    name : str
        Of the class in images.
    takes : tuple of str
        Fields of the image that it is about; it applies to an image that has all of them.
    gives : tuple of str
        Fields that there are in their place; none: they are dropped.
    convert : callable
        Given the columns of `takes`, by name, returns those of `gives`, each as long as they are. Records, lists,
        dicts and sets in them may not be filled yet.

    Examples
    --------
    A field that was renamed:

    >>> renamed = Migration("Task", ("prio",), ("priority",), lambda columns: {"priority": columns["prio"]})
    """

    name: str
    takes: tuple[str, ...]
    gives: tuple[str, ...]
    convert: Callable[[Mapping[str, Column]], Mapping[str, Column]]


def fit(kind: Type, fields: tuple[str, ...], migrations: Iterable[Migration]) -> Fit | None:
    """How the columns of an image, whose class had `fields`, become those of the class here; None: as they are.

    Raises
    ------
    ImageError
        If the class had a field that has neither a place nor a migration now, or has a new one without a default.
    """
    if fields == kind.fields:
        return None
    names = dict.fromkeys(fields)
    used = []
    for migration in migrations:
        if migration.name == kind.name and names.keys() >= set(migration.takes):
            used.append(migration)
            names = dict.fromkeys([name for name in names if name not in migration.takes] + list(migration.gives))
    unknown = [name for name in names if name not in kind.fields]
    if unknown:
        raise ImageError(
            f"a {kind.name} has {', '.join(unknown)} in the image, which it does not have in this version of Rain"
        )
    defaults = {name: kind.default(name) for name in kind.fields if name not in names}
    without = [name for name, default in defaults.items() if default is None]
    if without:
        raise ImageError(
            f"a {kind.name} has {', '.join(without)} in this version of Rain and not in the image, and no default"
        )

    def fitted(rows: int, columns: Columns) -> Columns:
        unset = {fields[number] for number in columns.pop()} if isinstance(kind, Records) else set()
        by_name = dict(zip(fields, columns, strict=True))
        for migration in used:
            made = migration.convert({name: by_name.pop(name) for name in migration.takes})
            by_name |= {name: list(made[name]) for name in migration.gives}
            unset |= {name for name in migration.gives if any(value is UNSET for value in by_name[name])}
        for name, default in defaults.items():
            assert default is not None
            by_name[name] = [default() for _ in range(rows)]
        result = [by_name[name] for name in kind.fields]
        if isinstance(kind, Records):
            result.append([number for number, name in enumerate(kind.fields) if name in unset])
        return result

    return fitted
