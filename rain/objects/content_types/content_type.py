"""`ContentType`: what there is to know of one content type, or of a family of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Buffer


class ContentType:
    """One content type: how values become bytes and bytes values, and what shows them.

    A subclass overrides `encode` and `decode`, and the attributes where they differ. One instance serves a process; its
    methods are called by any thread.

    Attributes
    ----------
    extensions : tuple of str
        Extensions of file names, without the dot; the first one is given to downloads.
    mime_types : tuple of str
        MIME types of the same bytes.
    kind : str
        Which views an inspector has for the bytes: a key of `rain.notebook.inspectors.kinds.VIEWERS`, such as
        ``"text"``, ``"json"``, ``"csv"`` or ``"image"``; ``"bytes"`` finds out by the first bytes.
    holds_text : bool
        Whether a ``str`` may be given as the data themselves, without encoding.
    advice : str
        What to do instead, for the error about a value that cannot be encoded.

    Examples
    --------
    A type ``plugin/csv`` for lists of rows, as a distribution may add it:

    >>> import csv, io
    >>> class Csv(ContentType):
    ...     extensions = ("csv",)
    ...     kind = "csv"
    ...
    ...     def encode(self, value, name):
    ...         text = io.StringIO()
    ...         csv.writer(text).writerows(value)
    ...         return [text.getvalue().encode()]
    ...
    ...     def decode(self, data, name):
    ...         return list(csv.reader(io.StringIO(str(data, "utf-8"))))
    >>> Csv().decode(b"a,1", "plugin/csv")
    [['a', '1']]
    """

    extensions: tuple[str, ...] = ()
    mime_types: tuple[str, ...] = ()
    kind: str = "bytes"
    holds_text: bool = False
    advice: str = 'content type "pickle" can do more'

    def encode(self, value: Any, name: str) -> Iterable[Buffer]:
        """`value` as bytes-like pieces, to be written one after the other.

        Parameters
        ----------
        value : object
        name : str
            The content type; of a family the member that is meant.

        Raises
        ------
        Exception
            Anything, if `value` cannot be encoded; its text becomes part of the error that the user gets.
        """
        raise NotImplementedError(f"{type(self).__name__} does not encode")

    def decode(self, data: Buffer, name: str) -> Any:
        """The value that `data` says.

        Parameters
        ----------
        data : bytes-like
            May be a mapped file, which a value may refer to instead of copying it.
        name : str

        Raises
        ------
        Exception
            Anything, if the data are not of this type.
        """
        raise NotImplementedError(f"{type(self).__name__} does not decode")

    def dump(self, value: Any, name: str, write: Callable[[Any], Any], restart: Callable[[], Any]) -> None:
        """Write what `encode` gives; overridden where pieces are better written than gathered.

        Parameters
        ----------
        value : object
        name : str
        write : callable
            Takes a bytes-like piece.
        restart : callable
            Drops what was written so far; everything then comes again.
        """
        for piece in self.encode(value, name):
            write(piece)

    def check(self, name: str) -> None:
        """Raise ValueError if the family has no member called `name`."""

    def parents(self, name: str) -> tuple[str, ...]:
        """The content types that `name` is a subtype of, one step up."""
        return ()

    def merged(self, a: str, b: str) -> str:
        """Which of two types that are subtypes of each other stands for both."""
        return a

    def why_not_decoded(self, error: BaseException) -> str:
        """What to do about `error`, which `decode` raised; empty where nothing is known."""
        return ""
