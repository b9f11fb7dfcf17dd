"""All content types by name: those that come with Rain, and those of installed distributions."""

from __future__ import annotations

import functools
import importlib
import re
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rain.common.errors import RainException
from rain.objects.content_types.content_type import ContentType

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

_HERE = "rain.objects.content_types"
BUILT_IN = {
    "pickle": f"{_HERE}.pickle:Pickle",
    "cloudpickle": f"{_HERE}.pickle:CloudPickle",
    "json": f"{_HERE}.json:Json",
    "cbor": f"{_HERE}.cbor:Cbor",
    "arrow": f"{_HERE}.arrow:Arrow",
    "text": f"{_HERE}.text:Text",
    "text-": f"{_HERE}.text:Text",
    "mime/": f"{_HERE}.raw:Raw",
    "user/": f"{_HERE}.raw:Raw",
    "protobuf": f"{_HERE}.protobuf:Protobuf",
    "protobuf/": f"{_HERE}.protobuf:Protobuf",
    "dir": f"{_HERE}.directory:Directory",
}
"""Where the class of each content type is. A key that ends in ``-`` or ``/`` is what names of a family begin with."""
PLUGIN = "plugin/"
"""What names of content types from other distributions begin with. The part behind it is the entry point's name; a
further part makes a subtype: ``plugin/fits/image`` is one of ``plugin/fits``."""
GROUP = "rain.content_types"
"""The group of entry points; each names a class below `ContentType`, or an instance of one."""

_FAMILIES = tuple(key for key in BUILT_IN if key[-1] in "-/")
_PLUGIN_NAME = re.compile(r"plugin/[\w.+-]+(?:/[\w.+-]+)*", re.ASCII)
_KNOWN = (
    "pickle, cloudpickle, json, cbor, arrow, text, text-<ENCODING>, mime/<MIME>, user/<NAME>, protobuf, "
    "protobuf/<NAME>, dir, plugin/<NAME>, and None"
)
_loaded: dict[str, ContentType] = {}
_lock = threading.Lock()


def _key_of(name: str) -> str | None:
    """What `_loaded` has the type of `name` under; None if there is no such type."""
    if name in BUILT_IN and name not in _FAMILIES:
        return name
    if name.startswith(PLUGIN):
        return "/".join(name.split("/", 2)[:2]) if _PLUGIN_NAME.fullmatch(name) else None
    return next((family for family in _FAMILIES if name.startswith(family) and len(name) > len(family)), None)


def check_content_type(name: str | None) -> str | None:
    """`name` as Rain reports it: None for the unspecified type.

    Whether a plug-in is installed is not asked: the data may be made, and read, where it is.

    Parameters
    ----------
    name : str or None

    Returns
    -------
    str or None

    Raises
    ------
    ValueError
        If there is no such content type.

    Examples
    --------
    >>> check_content_type("text-latin-1")
    'text-latin-1'
    >>> check_content_type("") is None
    True
    """
    if name is None or name == "":
        return None
    if not isinstance(name, str):
        raise ValueError(f"a content type is a str or None, not {type(name).__name__}")
    key = _key_of(name)
    if key is None:
        raise ValueError(f"unknown content type {name!r}; known are {_KNOWN}")
    if key in _FAMILIES:
        _load(key).check(name)
    return name


def content_type_of(name: str) -> ContentType:
    """What is known of the content type `name`, which `check_content_type` took.

    Parameters
    ----------
    name : str

    Raises
    ------
    RainException
        If it is a plug-in's, and the plug-in is not installed here or cannot be loaded.

    Examples
    --------
    >>> content_type_of("json").extensions
    ('json', 'geojson', 'ipynb')
    """
    found = _loaded.get(name)
    if found is not None:
        return found
    key = _key_of(name)
    if key is None:
        raise ValueError(f"unknown content type {name!r}; known are {_KNOWN}")
    return _load(key)


def _load(key: str) -> ContentType:
    found = _loaded.get(key)
    if found is None:
        if key.startswith(PLUGIN):
            found = _plugin(key)
        else:
            module, _, kind = BUILT_IN[key].partition(":")
            found = getattr(importlib.import_module(module), kind)()
        with _lock:
            found = _loaded.setdefault(key, found)
    return found


def installed() -> dict[str, list[EntryPoint]]:
    """The entry points of plug-ins by the content type that they stand for."""
    from importlib.metadata import entry_points  # 30 modules, which few processes need

    found: dict[str, list[EntryPoint]] = {}
    for entry in entry_points(group=GROUP):
        found.setdefault(PLUGIN + entry.name, []).append(entry)
    return found


def _plugin(key: str) -> ContentType:
    entries = installed().get(key, [])
    if not entries:
        raise RainException(
            f"content type {key!r} needs a plug-in that is not installed here: a distribution with the entry point "
            f"{key.removeprefix(PLUGIN)!r} in the group {GROUP!r}; get_bytes() gives the data as they are"
        )
    if len({entry.value for entry in entries}) > 1:
        places = ", ".join(sorted(f"{entry.value} ({_distribution(entry)})" for entry in entries))
        raise RainException(f"content type {key!r} has more than one plug-in: {places}; uninstall all but one")
    entry = entries[0]
    where = f"the plug-in {entry.value} ({_distribution(entry)}) of content type {key!r}"
    try:
        made = entry.load()
        made = made() if isinstance(made, type) else made
    except Exception as error:
        raise RainException(f"{where} cannot be loaded: {type(error).__name__}: {error}") from error
    if not isinstance(made, ContentType):
        raise RainException(f"{where} is no rain.objects.content_types.ContentType but a {type(made).__name__}")
    return made


def _distribution(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else "of no distribution"


def names() -> list[str]:
    """All content types, with families as what their names begin with; for completion.

    Examples
    --------
    >>> names()[:3]
    ['pickle', 'cloudpickle', 'json']
    """
    return [*BUILT_IN, *sorted(installed())]


def all_types() -> Iterator[tuple[str, ContentType]]:
    """Each content type that can be loaded here, by name or what names begin with."""
    for key in names():
        try:
            yield key, _load(key)
        except RainException:  # a plug-in that cannot be loaded: told when its type is used
            continue


@functools.cache
def types_by_extension() -> dict[str, tuple[str, ContentType]]:
    """Name and content type by the extension of a file, without the dot; the first one that `all_types` yields.

    Examples
    --------
    >>> types_by_extension()["txt"][0]
    'text'
    """
    found: dict[str, tuple[str, ContentType]] = {}
    for name, kind in all_types():
        for extension in kind.extensions:
            found.setdefault(extension, (name, kind))
    return found


def _ancestors(name: str) -> set[str]:
    """`name`, and all types that it is a subtype of."""
    found: set[str] = set()
    left = [name]
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += _parents(name)
    return found


def _parents(name: str) -> tuple[str, ...]:
    if name.startswith(PLUGIN):
        parent = name.rpartition("/")[0]
        return (parent,) if parent + "/" != PLUGIN else ()
    return content_type_of(name).parents(name)


def is_subtype(a: str | None, b: str | None) -> bool:
    """Whether data of type `a` may be used where type `b` is asked for.

    Parameters
    ----------
    a, b : str or None
        None is asked for where any type will do.

    Returns
    -------
    bool

    Raises
    ------
    ValueError
        If one of them is no content type.

    Examples
    --------
    >>> is_subtype("text-utf-8", "text"), is_subtype("text", "text-utf-8"), is_subtype("json", None)
    (True, False, True)
    """
    a, b = check_content_type(a), check_content_type(b)
    if a == b or b is None:
        return True
    return a is not None and b in _ancestors(a)


def merge_content_types(a: str | None, b: str | None) -> str | None:
    """The more specific of two types; of `pickle` and `cloudpickle` the latter.

    Parameters
    ----------
    a, b : str or None

    Returns
    -------
    str or None
        The more specific one of both.

    Raises
    ------
    RainException
        If neither is a subtype of the other.
    ValueError
        If one of them is no content type.

    Examples
    --------
    >>> merge_content_types("text", "text-utf-8"), merge_content_types(None, "json")
    ('text-utf-8', 'json')
    """
    below, above = is_subtype(a, b), is_subtype(b, a)
    a, b = check_content_type(a), check_content_type(b)
    if below and above and a is not None and b is not None and a != b:
        return content_type_of(a).merged(a, b)
    if below:
        return a
    if above:
        return b
    raise RainException(f"content types {a!r} and {b!r} do not fit together")
