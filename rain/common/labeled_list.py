"""`LabeledList`: a list whose items may carry unique labels."""

from __future__ import annotations

import operator
from collections.abc import Hashable, Iterable, Iterator, MutableSequence
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")


class LabeledList(MutableSequence[T], Generic[T]):
    """A list whose items may also be reached by a label.

    Labels are unique and hashable: any string, also the empty one, but no `int`, `slice` or `None`.

    Parameters
    ----------
    items : iterable, optional
        The values; from another `LabeledList` also its labels.
    labels : iterable, optional
        As many labels (None: no label) as there are items.
    pairs : iterable of (label, value), optional
        Instead of `items` and `labels`.

    Attributes
    ----------
    data : list
        The values. Do not change it.
    labels : list
        Their labels, None for those without. Do not change it.

    Raises
    ------
    KeyError
        If a label comes twice.
    ValueError
        If `labels` are not as many as `items`, or both `items` and `pairs` are given.
    TypeError
        If a label cannot be one.

    Examples
    --------
    >>> l = LabeledList([1, 2], labels=["a", None])
    >>> l["a"], l[1], "a" in l, list(l.items())
    (1, 2, True, [('a', 1), (None, 2)])
    """

    __slots__ = ("_index", "data", "labels")
    __hash__ = None  # type: ignore[assignment]

    def __init__(
        self,
        items: Iterable[T] | None = None,
        labels: Iterable[Hashable | None] | None = None,
        pairs: Iterable[tuple[Hashable | None, T]] | None = None,
    ) -> None:
        if pairs is not None:
            if items is not None or labels is not None:
                raise ValueError("give either items (and labels) or pairs")
            listed = [(label, value) for label, value in pairs]
            items, labels = [value for _, value in listed], [label for label, _ in listed]
        elif isinstance(items, LabeledList) and labels is None:
            labels = items.labels
        self.data: list[T] = list(items) if items is not None else []
        self.labels: list[Any] = list(labels) if labels is not None else [None] * len(self.data)
        if len(self.labels) != len(self.data):
            raise ValueError(f"there are {len(self.labels)} labels for {len(self.data)} items")
        self._index: dict[Hashable, int] = {}
        for position, label in enumerate(self.labels):
            if label is not None:
                self._claim(label, position)

    def _claim(self, label: Any, position: int) -> None:
        """Let `label` belong to the item at `position`."""
        _check_label(label)
        if self._index.setdefault(label, position) != position:
            raise KeyError(f"label {label!r} is taken by item {self._index[label]}")

    def _reindex(self, start: int = 0) -> None:
        for position in range(start, len(self.labels)):
            label = self.labels[position]
            if label is not None:
                self._index[label] = position

    def _position(self, key: Any) -> int:
        """The position, from 0 on, that an int or label means."""
        if hasattr(key, "__index__"):  # also the integers of NumPy
            index = operator.index(key)
            position = index + len(self.data) if index < 0 else index
            if not 0 <= position < len(self.data):
                raise IndexError(f"index {key} is out of range; there are {len(self.data)} items")
            return position
        try:
            return self._index[key]
        except KeyError:
            known = ", ".join(map(repr, self._index)) or "none"
            raise KeyError(f"no item has the label {key!r}; labels are: {known}") from None

    # -- as a sequence --------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.data)

    def __iter__(self) -> Iterator[T]:
        return iter(self.data)

    @overload
    def __getitem__(self, key: int) -> T: ...
    @overload
    def __getitem__(self, key: slice) -> list[T]: ...
    @overload
    def __getitem__(self, key: Hashable) -> T: ...

    def __getitem__(self, key: Any) -> Any:
        """The item of an index or a label; of a slice a plain list."""
        if isinstance(key, slice):
            return self.data[key]
        return self.data[self._position(key)]

    def __setitem__(self, key: Any, value: Any) -> None:
        """Replace an item, or those of a slice; the new ones have no label."""
        if isinstance(key, slice):
            values = list(value)
            data, labels = list(self.data), list(self.labels)
            data[key] = values
            labels[key] = [None] * len(values)
            self.data, self.labels = data, labels
            self._index = {}
            self._reindex()
            return
        position = self._position(key)
        self.data[position] = value
        self._free(position)

    def __delitem__(self, key: Any) -> None:
        if not isinstance(key, slice):
            key = self._position(key)
        del self.data[key]
        del self.labels[key]
        self._index = {}
        self._reindex()

    def insert(self, index: int, value: T, label: Hashable | None = None) -> None:
        """Insert an item.

        Parameters
        ----------
        index : int
            Before which item.
        value : any
        label : hashable, optional

        Raises
        ------
        KeyError
            If the label is taken.
        TypeError
            If the label cannot be one.
        """
        if label is not None:
            _check_label(label)
            if label in self._index:
                raise KeyError(f"label {label!r} is taken by item {self._index[label]}")
        size = len(self.data)
        position = max(index + size, 0) if index < 0 else min(index, size)
        self.data.insert(position, value)
        self.labels.insert(position, label)
        self._reindex(position)

    def append(self, value: T, label: Hashable | None = None) -> None:
        """Add at the end.

        Parameters
        ----------
        value : any
        label : hashable, optional

        Raises
        ------
        KeyError
            If the label is taken.
        TypeError
            If the label cannot be one.
        """
        if label is not None:
            self._claim(label, len(self.data))
        self.data.append(value)
        self.labels.append(label)

    def __contains__(self, label: object) -> bool:
        """Whether an item has this label."""
        try:
            return label in self._index
        except TypeError:
            return False

    def clear(self) -> None:
        """Remove all items."""
        self.data.clear()
        self.labels.clear()
        self._index.clear()

    def reverse(self) -> None:
        """Reverse in place; the labels stay with their items."""
        self.data.reverse()
        self.labels.reverse()
        self._reindex()

    # -- labels ---------------------------------------------------------------------------------

    def set(self, index: Any, value: T, label: Hashable | None = None) -> None:
        """Replace an item and its label.

        Parameters
        ----------
        index : int or label
            Of the item.
        value : any
        label : hashable, optional
            The new one; None for no label.

        Raises
        ------
        KeyError
            If another item has the label, or there is none with the label `index`.
        IndexError
            If there is no such item.
        """
        position = self._position(index)
        self.set_label(position, label)
        self.data[position] = value

    def get_label(self, index: Any) -> Any:
        """The label of an item, None if it has none.

        Parameters
        ----------
        index : int or label
            Of the item.

        Returns
        -------
        hashable or None

        Raises
        ------
        IndexError, KeyError
            If there is no such item.
        """
        return self.labels[self._position(index)]

    def set_label(self, index: Any, label: Hashable | None) -> None:
        """Give an item another label, or with None none.

        Parameters
        ----------
        index : int or label
            Of the item.
        label : hashable or None
            None for no label.

        Raises
        ------
        KeyError
            If another item has the label, or there is none with the label `index`.
        IndexError
            If there is no such item.
        """
        position = self._position(index)
        if label is not None:
            _check_label(label)
            if self._index.get(label, position) != position:
                raise KeyError(f"label {label!r} is taken by item {self._index[label]}")
        self._free(position)
        self.labels[position] = label
        if label is not None:
            self._index[label] = position

    def _free(self, position: int) -> None:
        label = self.labels[position]
        if label is not None:
            del self._index[label]
            self.labels[position] = None

    def items(self) -> Iterator[tuple[Any, T]]:
        """Pairs of label and value, as the parameter `pairs` takes them.

        Returns
        -------
        iterator of (label, value)
        """
        return zip(self.labels, self.data, strict=True)

    # -- the rest -------------------------------------------------------------------------------

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LabeledList):
            return NotImplemented
        return self.data == other.data and self.labels == other.labels

    def __copy__(self) -> LabeledList[T]:
        return LabeledList(self.data, self.labels)

    def __reduce__(self) -> Any:
        return (type(self), (self.data, self.labels))

    def __repr__(self) -> str:
        parts = (repr(value) if label is None else f"{label!r}: {value!r}" for label, value in self.items())
        return f"LabeledList([{', '.join(parts)}])"

    def _check(self) -> None:
        """Assert that values, labels and index agree."""
        assert len(self.data) == len(self.labels)
        assert self._index == {label: at for at, label in enumerate(self.labels) if label is not None}
        assert len(self._index) == sum(label is not None for label in self.labels)


def _check_label(label: Any) -> None:
    if isinstance(label, slice) or hasattr(label, "__index__"):
        raise TypeError(f"{label!r} cannot be a label: int and slice are positions")
    hash(label)
