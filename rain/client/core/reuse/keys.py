"""What a result depends on, and its key.

Theory of operation
-------------------
A key is a digest of the code of a call, of its arguments, of what its inputs are, of its options, and of the
environment. What an input is, is told in one of two ways: a constant, and an object whose data are here, by a digest of
its bytes (`of_bytes`); the output of a task by the key of that task (`of_output`), as in a Merkle tree. So it is known
before anything runs which results are there, and a task whose result is there needs none of its inputs.

`Code` keeps the parts of what was digested, so that `rain.client.core.reuse.reasons` can say what has changed.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import xxhash

FORMAT = 1
"""Of keys and entries: with another one nothing that was stored is found."""


class Part(msgspec.Struct, array_like=True, frozen=True):
    """One piece of code, or one value, on which the results of a function depend.

    Attributes
    ----------
    name : str
        What it is called in texts: ``"fit"``, ``"helpers.scale"``, ``"LIMIT (used by fit)"``.
    digest : str
    line : int
        The first line of its source; 0 if it has none.
    place : str
        The file or cell that the lines are of; empty if that is where the function is.
    source : str
        Its text; of a value the beginning of its repr.
    """

    name: str
    digest: str
    line: int = 0
    place: str = ""
    source: str = ""


class Code(msgspec.Struct, array_like=True):
    """The code of a function or program, with all that it uses.

    Attributes
    ----------
    path : str
        By which one run finds what another stored: ``module:qualified name`` of a function.
    name : str
        For texts.
    parts : list of Part
        The function itself first.
    libraries : dict of str to str
        The versions of installed distributions that the code imports.
    draws : bool
        Whether it asks for random numbers by `rain.rng`.
    unclear : str
        Why the results cannot be told by their code; empty if they can.
    """

    path: str
    name: str
    parts: list[Part]
    libraries: dict[str, str] = {}
    draws: bool = False
    unclear: str = ""

    @property
    def digest(self) -> str:
        """Of all parts; versions of libraries are not in it."""
        return digest(f"{part.name}={part.digest}" for part in sorted(self.parts, key=lambda part: part.name))


class Call(msgspec.Struct, array_like=True):
    """One call of a function or program.

    Attributes
    ----------
    code : str
        The digest of its code.
    interpreter : str
    libraries : dict of str to str
        Those of the code, and those whose classes are among the arguments.
    arguments : dict of str to str
        Digests of the arguments by the names of their parameters.
    inputs : dict of str to str
        What the data objects are that it uses, by label.
    options : dict of str to str
        What else counts: the task's environment variables, how results are encoded, the seed.
    """

    code: str
    interpreter: str
    libraries: dict[str, str]
    arguments: dict[str, str]
    inputs: dict[str, str]
    options: dict[str, str]

    def key(self, path: str) -> str:
        """The key of the call of what has this path.

        Examples
        --------
        >>> call = Call("c", "cpython-312", {}, {"n": digest(["1"])}, {}, {})
        >>> call.key("__main__:fit") == call.key("__main__:fit"), len(call.key("__main__:fit"))
        (True, 32)
        """
        texts = [str(FORMAT), path, self.code, self.interpreter]
        for told in (self.libraries, self.arguments, self.inputs, self.options):
            texts.append(str(len(told)))
            for name in sorted(told):
                texts += (name, told[name])
        return digest(texts)


def digest(texts: Iterable[str]) -> str:
    """A digest of texts in order; each by itself, so that what is at the end of one is not the start of the next.

    Examples
    --------
    >>> digest(["ab", "c"]) == digest(["a", "bc"])
    False
    """
    text = "".join([f"{len(one)} {one}" for one in texts])
    return xxhash.xxh3_128_hexdigest(text.encode("utf-8", "surrogatepass"))


def of_bytes(content: str, content_type: str | None, data_type: str) -> str:
    """What an input is whose bytes have the digest `content`."""
    return f"bytes {content} {data_type} {content_type or ''}"


def of_output(key: str, number: int) -> str:
    """What an input is that is the output with this number of the task with this key."""
    return f"task {key} {number}"
