"""`Input` and `Output`: how tasks and programs see their inputs and outputs.

They describe; they are not data. An `Output` at a call is merged with the one of the function or program
(`OutputBase.merge`), an `Input` of a function's parameter applies to every object in that argument.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rain.client.handles import as_object
from rain.common.attributes import check_size_hint
from rain.common.errors import RainException
from rain.common.formatting import is_unicode
from rain.common.limits import TASK_OUTPUTS_MAX
from rain.common.states import DataType
from rain.common.suggestions.keywords import suggesting
from rain.objects.content_types.registry import check_content_type, merge_content_types

if TYPE_CHECKING:
    from rain.client.data import DataObject
    from rain.client.task import Task


def check_label(label: Any, of: str) -> str | None:
    """`label` if it can be one.

    Raises
    ------
    RainException
        If it is neither Unicode text nor None.
    """
    if label is not None and not isinstance(label, str):
        raise RainException(f"the label of {of} is a str, not {type(label).__name__} ({label!r})")
    if label is not None and not is_unicode(label):
        raise RainException(f"the label of {of} is Unicode text, not {label!r}")
    return label


def check_path(path: Any, of: str) -> str | None:
    """A relative path inside a program's directory, normalised.

    Raises
    ------
    RainException
        If it is absolute, leaves the directory, or is the directory itself.
    """
    if path is None:
        return None
    try:
        text = os.fspath(path)
    except TypeError:
        raise RainException(f"the path of {of} is a str or os.PathLike, not {type(path).__name__}") from None
    if not isinstance(text, str) or not text or "\0" in text or not is_unicode(text):
        raise RainException(f"the path of {of} is a non-empty text, not {text!r}")
    clean = posixpath.normpath(text)
    if clean.startswith("/") or clean == ".." or clean.startswith("../"):
        raise RainException(f"the path of {of} must stay inside the task's directory, but is {text!r}")
    if clean == ".":
        raise RainException(f"the path of {of} cannot be the task's directory itself")
    return clean


class InputBase:
    """How an input is seen; the base of `Input` and `InputDir`.

    Parameters
    ----------
    label : str, optional
        Name of the input.
    path : str or os.PathLike, optional
        Where a program finds it, relative to its directory.
    dataobj : DataObject or single-output Task, optional
        The object itself; without one this is a placeholder.
    load : bool, optional
        Whether a remote function gets the loaded value instead of a `DataInstance`.
    content_type : str, optional
        Given to an object without one; an object that has one must fit.
    write : bool
        Whether a program gets a private writable copy instead of a read-only file.
    writable : bool
        Whether a function may change the loaded value: its own pages of it, which no other task sees. False makes large
        arrays read-only, so that changing them is an error.

    Attributes
    ----------
    data_type : DataType
        What kind of object this is.

    Raises
    ------
    RainException
        If label, path or content type cannot be one, or `dataobj` does not fit.
    """

    __slots__ = ("content_type", "dataobj", "label", "load", "path", "writable", "write")
    data_type = DataType.BLOB

    @suggesting
    def __init__(
        self,
        label: str | None = None,
        path: str | os.PathLike[str] | None = None,
        dataobj: DataObject | Task | None = None,
        load: bool | None = None,
        content_type: str | None = None,
        write: bool = False,
        writable: bool = True,
    ) -> None:
        kind = type(self).__name__
        self.label = check_label(label, f"an {kind}")
        self.path = check_path(path, f"{kind}({label!r})" if label is not None else f"an {kind}")
        self.load = load
        self.content_type = check_content_type(content_type)
        self.write = bool(write)
        self.writable = bool(writable)
        self.dataobj: DataObject | None = None
        if load not in (None, True, False):
            raise RainException(f"load= of {kind} is True or False, not {load!r}")
        if dataobj is not None:
            self.dataobj = as_object(dataobj, f"{kind}({label!r})")
            self.check(self.dataobj)

    def check(self, obj: DataObject) -> None:
        """Make sure that an object can be this input.

        Parameters
        ----------
        obj : DataObject

        Raises
        ------
        RainException
            If data type or content type do not fit.
        """
        if obj.data_type is not self.data_type:
            raise RainException(
                f"{self!r} takes a {_KIND[self.data_type]}, but {obj!r} is a {_KIND[obj.data_type]}"
                f" (use {'InputDir' if obj.data_type is DataType.DIRECTORY else 'Input'})"
            )
        if self.content_type is not None and obj.content_type is not None:
            try:
                merge_content_types(self.content_type, obj.content_type)
            except RainException:
                raise RainException(
                    f"{self!r} takes content type {self.content_type!r}, but {obj!r} has {obj.content_type!r}"
                ) from None

    def __repr__(self) -> str:
        text = _represent(self, ("label", "path", "dataobj", "load", "content_type", "write"))
        return text if self.writable else f"{text[:-1]}{', ' * (text[-2] != '(')}writable=False)"


class Input(InputBase):
    """A blob as an input.

    Parameters
    ----------
    label : str, optional
        Name of the input.
    path : str or os.PathLike, optional
        Where a program finds it, relative to its directory.
    dataobj : DataObject or single-output Task, optional
        The object itself; without one this is a placeholder.
    load : bool, optional
        Whether a remote function gets the loaded value instead of a `DataInstance`.
    content_type : str, optional
        Given to an object without one; an object that has one must fit.
    write : bool
        Whether a program gets a private writable copy instead of a read-only file.
    writable : bool
        Whether a function may change the loaded value: its own pages of it, which no other task sees. False makes large
        arrays read-only, so that changing them is an error.

    Attributes
    ----------
    data_type : DataType
        `DataType.BLOB`.

    Raises
    ------
    RainException
        If label, path or content type cannot be one, or `dataobj` does not fit.

    Examples
    --------
    >>> Input("text", path="text.txt", content_type="text")
    Input('text', path='text.txt', content_type='text')
    """

    __slots__ = ()


class InputDir(InputBase):
    """A directory as an input.

    Parameters
    ----------
    label : str, optional
        Name of the input.
    path : str or os.PathLike, optional
        Where a program finds it, relative to its directory.
    dataobj : DataObject or single-output Task, optional
        The directory object itself; without one this is a placeholder.
    load : bool, optional
        False or None: a directory cannot be loaded, a remote function gets a `DataInstance`.
    content_type : str, optional
        ``"dir"`` or None.
    write : bool
        Whether a program gets a private writable copy instead of read-only files.

    Attributes
    ----------
    data_type : DataType
        `DataType.DIRECTORY`.

    Raises
    ------
    RainException
        If label or path cannot be one, `load` is True, or `dataobj` is a blob.

    Examples
    --------
    >>> InputDir("data", path="training/data")
    InputDir('data', path='training/data')
    """

    __slots__ = ()
    data_type = DataType.DIRECTORY

    @suggesting
    def __init__(
        self,
        label: str | None = None,
        path: str | os.PathLike[str] | None = None,
        dataobj: DataObject | Task | None = None,
        load: bool | None = None,
        content_type: str | None = None,
        write: bool = False,
    ) -> None:
        if load:
            raise RainException(
                "a directory cannot be loaded; the function gets a DataInstance with write() and link()"
            )
        if content_type not in (None, "", "dir"):
            raise RainException(f"the content type of a directory is 'dir', not {content_type!r}")
        super().__init__(label, path, dataobj, load, None, write)


class OutputBase:
    """How an output is made; the base of `Output` and `OutputDir`.

    Parameters
    ----------
    label : str, optional
        Name of the output.
    size_hint : float, optional
        Bytes expected, for the scheduler.
    content_type : str, optional
        What the output is; what the task sets must be a subtype of it.
    encode : str, optional
        Content type in which a remote function's returned value is encoded.
    path : str or os.PathLike, optional
        Where a program leaves it, relative to its directory.

    Attributes
    ----------
    data_type : DataType
        What kind of object this is.

    Raises
    ------
    RainException
        If label, path or content type cannot be one, or `encode` and `content_type` contradict each other.
    """

    __slots__ = ("content_type", "encode", "label", "path", "size_hint")
    data_type = DataType.BLOB

    @suggesting
    def __init__(
        self,
        label: str | None = None,
        *,
        size_hint: float | None = None,
        content_type: str | None = None,
        encode: str | None = None,
        path: str | os.PathLike[str] | None = None,
    ) -> None:
        kind = type(self).__name__
        self.label = check_label(label, f"an {kind}")
        self.path = check_path(path, f"{kind}({label!r})" if label is not None else f"an {kind}")
        self.size_hint = check_size_hint(size_hint, kind)
        self.encode = check_content_type(encode)
        self.content_type = check_content_type(content_type)
        if self.data_type is DataType.BLOB and "dir" in (self.content_type, self.encode):
            raise RainException(f"{kind}({label!r}) is a blob; a directory is declared by OutputDir")
        if self.encode is not None and self.content_type is not None:
            try:
                merge_content_types(self.content_type, self.encode)
            except RainException:
                raise RainException(
                    f"{kind}({label!r}): encode={encode!r} and content_type={content_type!r} contradict each other"
                ) from None

    @property
    def declared_type(self) -> str | None:
        """The content type of the object: what is declared, or else how it is encoded."""
        if self.data_type is DataType.DIRECTORY:
            return "dir"
        if self.encode is None or self.content_type is None:
            return self.content_type or self.encode
        return merge_content_types(self.content_type, self.encode)

    def merge(self, given: OutputBase | str | None) -> OutputBase:
        """This prototype with what was given at a call.

        Parameters
        ----------
        given : OutputBase, str or None
            None takes the prototype as it is; a str, or an output's label, replaces the label.

        Returns
        -------
        OutputBase

        Raises
        ------
        RainException
            If data types or content types do not fit together.
        """
        if given is None:
            return self
        if isinstance(given, str):
            return self._copy(label=given)
        if not isinstance(given, OutputBase):
            raise RainException(f"an output is an Output, a str or None, not {type(given).__name__} ({given!r})")
        if given.data_type is not self.data_type:
            raise RainException(f"{given!r} does not fit {self!r}: one is a blob, the other a directory")
        return self._copy(
            label=self.label if given.label is None else given.label,
            size_hint=self.size_hint if given.size_hint is None else given.size_hint,
            content_type=self._merged("content_type", given),
            encode=self._merged("encode", given),
            path=self.path if given.path is None else given.path,
        )

    def _merged(self, field: str, given: OutputBase) -> str | None:
        mine, theirs = getattr(self, field), getattr(given, field)
        try:
            return merge_content_types(mine, theirs)
        except RainException:
            raise RainException(
                f"{given!r} does not fit {self!r}: {field} {theirs!r} and {mine!r} are incompatible"
            ) from None

    def _copy(self, **changes: Any) -> OutputBase:
        fields = {name: getattr(self, name) for name in ("label", "size_hint", "content_type", "encode", "path")}
        return type(self)(**{**fields, **changes})

    def __repr__(self) -> str:
        return _represent(self, ("label", "size_hint", "content_type", "encode", "path"))


class Output(OutputBase):
    """A blob as an output.

    Parameters
    ----------
    label : str, optional
        Name of the output.
    size_hint : float, optional
        Bytes expected, for the scheduler.
    content_type : str, optional
        What the output is; what the task sets must be a subtype of it.
    encode : str, optional
        Content type in which a remote function's returned value is encoded.
    path : str or os.PathLike, optional
        Where a program leaves it, relative to its directory.

    Attributes
    ----------
    data_type : DataType
        `DataType.BLOB`.

    Raises
    ------
    RainException
        If label, path or content type cannot be one, or `encode` and `content_type` contradict each other.

    Examples
    --------
    >>> Output("model", encode="pickle").merge("best")
    Output('best', encode='pickle')
    """

    __slots__ = ()


class OutputDir(OutputBase):
    """A directory as an output.

    Parameters
    ----------
    label : str, optional
        Name of the output.
    size_hint : float, optional
        Bytes expected, for the scheduler.
    content_type, encode : str, optional
        ``"dir"`` or None.
    path : str or os.PathLike, optional
        Where a program leaves it, relative to its directory.

    Attributes
    ----------
    data_type : DataType
        `DataType.DIRECTORY`.

    Raises
    ------
    RainException
        If label or path cannot be one, or a content type is asked for.

    Examples
    --------
    >>> OutputDir("model", path="out")
    OutputDir('model', path='out')
    """

    __slots__ = ()
    data_type = DataType.DIRECTORY

    @suggesting
    def __init__(
        self,
        label: str | None = None,
        *,
        size_hint: float | None = None,
        content_type: str | None = None,
        encode: str | None = None,
        path: str | os.PathLike[str] | None = None,
    ) -> None:
        if content_type not in (None, "", "dir") or encode not in (None, "", "dir"):
            raise RainException("an OutputDir is a directory: it has no content type and no encoding to choose")
        super().__init__(label, size_hint=size_hint, path=path)


_KIND = {DataType.BLOB: "blob", DataType.DIRECTORY: "directory"}


def as_output(given: OutputBase | str | None, of: str) -> OutputBase:
    """What was given as an output, as an `Output`.

    Raises
    ------
    RainException
        If it is neither an output nor a label.
    """
    if isinstance(given, OutputBase):
        return given
    if given is None or isinstance(given, str):
        return Output(given)
    raise RainException(f"an output of {of} is an Output or a str (its label), not {type(given).__name__} ({given!r})")


def listed(given: Any, what: str) -> list[Any]:
    """Inputs or outputs that were given together, as a list.

    Raises
    ------
    RainException
        If they come in a set, which has no order, in a mapping, of which only the keys would be taken, or in something
        that cannot be iterated over.
    """
    if isinstance(given, set | frozenset | Mapping) or not isinstance(given, Iterable):
        raise RainException(f"{what} are given in a list, not as {type(given).__name__} ({given!r})")
    return list(given)


def check_output_count(count: int, of: str) -> int:
    """`count` if a task may have so many outputs.

    Raises
    ------
    RainException
    """
    if not 0 <= count <= TASK_OUTPUTS_MAX:
        raise RainException(
            f"{of}: the number of outputs is from 0 to TASK_OUTPUTS_MAX ({TASK_OUTPUTS_MAX}), not {count}"
        )
    return count


def merge_outputs(prototypes: list[OutputBase], output: Any, outputs: Any, of: str) -> list[OutputBase]:
    """The outputs of one call: the prototypes merged one by one with what was given.

    Parameters
    ----------
    prototypes : list of OutputBase
    output : OutputBase, str or None
        The only output.
    outputs : sequence of (OutputBase, str or None), or None
    of : str
        Who, for errors.

    Raises
    ------
    RainException
        If they are not as many, or do not fit.
    """
    if output is None and outputs is None:
        return prototypes
    if output is not None:
        if outputs is not None:
            raise RainException(f"{of}: give output= or outputs=, not both")
        outputs = (output,)
    elif isinstance(outputs, str | OutputBase):
        outputs = (outputs,)
    elif isinstance(outputs, int):
        if outputs != len(prototypes):
            raise RainException(f"{of} has {_count(len(prototypes))}, not {outputs}")
        return prototypes
    given = listed(outputs, f"outputs of {of}")
    if len(given) != len(prototypes):
        raise RainException(
            f"{of} has {_count(len(prototypes))}, but {len(given)} were given (None takes one as it is declared)"
        )
    return [prototype.merge(item) for prototype, item in zip(prototypes, given, strict=True)]


def _count(n: int) -> str:
    return "no outputs" if n == 0 else "1 output" if n == 1 else f"{n} outputs"


def _represent(item: Any, names: tuple[str, ...]) -> str:
    parts = []
    for name in names:
        value = getattr(item, name)
        if value is None or value is False:
            continue
        parts.append(repr(value) if name == "label" else f"{name}={value!r}")
    return f"{type(item).__name__}({', '.join(parts)})"
