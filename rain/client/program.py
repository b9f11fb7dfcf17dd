"""Programs: how the arguments of `Execute` and `Program` become a task's inputs, outputs and config."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rain.client.active_session import get_active_session
from rain.client.building.given import check_labels
from rain.client.building.options import NAMES, Options
from rain.client.handles import as_object, record_of
from rain.client.io_spec import (
    Input,
    InputBase,
    InputDir,
    Output,
    OutputBase,
    as_output,
    check_path,
    listed,
    merge_outputs,
)
from rain.client.task import Task
from rain.common.errors import RainException
from rain.common.formatting import is_unicode
from rain.common.states import DataType
from rain.common.suggestions.nearest import hint
from rain.common.task_configs import EXECUTE, ExecuteConfig, MappedInput, MappedOutput

if TYPE_CHECKING:
    from rain.client.data import DataObject

_RESERVED = NAMES | {"output", "outputs"}
_EXIT_CODE_MAX = 255
_PLAIN_WORDS = re.compile(r"[\w@%+=:,./ -]*", re.ASCII).fullmatch
"""Whether a shell takes nothing in a text for more than itself, so that spaces alone part its words."""


class _Slot:
    """An input: its label, where it is mapped (None: only on stdin), what it is bound to (None: a placeholder)."""

    __slots__ = ("bound", "label", "path", "spec")

    def __init__(self, label: str, path: str | None, spec: InputBase) -> None:
        self.label = label
        self.path = path
        self.spec = spec
        self.bound: DataObject | None = spec.dataobj

    def __repr__(self) -> str:
        return repr(self.spec) if self.spec.label is not None else f"the input {self.label!r}"


class Plan:
    """A program with its inputs and outputs, bound to objects or not.

    Parameters
    ----------
    owner : str
        Who, for errors.
    args, stdout, stdin, input_paths, output_paths, shell, stderr, exit_codes
        See `rain.client.builtin_tasks.Execute`.
    placeholders : bool
        Whether a str as `stdin` or in `input_paths` is the label of a placeholder.

    Raises
    ------
    RainException
        If they are not what they should be.
    """

    def __init__(
        self,
        owner: str,
        args: Any,
        stdout: Any,
        stdin: Any,
        input_paths: Any,
        output_paths: Any,
        shell: bool,
        stderr: Any,
        exit_codes: Any,
        placeholders: bool = False,
    ) -> None:
        self.owner = owner
        self._placeholders = placeholders
        self._shell = bool(shell)
        self.inputs: list[_Slot] = []
        self.outputs: list[OutputBase] = []
        self._mapped: list[bool] = []  # per output: whether it is a file of the program's directory
        self._slots: dict[str, _Slot] = {}  # the first input of each label
        self._output_labels: set[str | None] = set()
        self._counts: dict[str, int] = {}  # per prefix: the number from which on a name may be free
        self._exit_codes = _exit_codes(exit_codes, owner)
        self._words: list[str | _Slot | int] = [self._word(i, word) for i, word in enumerate(self._split(args))]
        for item in _listed(input_paths, owner, "input_paths"):
            self._map_input(item)
        for item in _listed(output_paths, owner, "output_paths"):
            output = as_output(item, f"{owner} (output_paths)")
            self._add_output(output, output.label or output.path or self._free_name("out"), mapped=True)
        self._stdin = None if stdin is None else self._add_stdin(stdin)
        self._stdout = self._add_stream(stdout, "stdout")
        self._stderr = self._add_stream(stderr, "stderr")
        self._check()

    # -- reading what was given -----------------------------------------------------------------

    def _split(self, args: Any) -> Sequence[Any]:
        if isinstance(args, str):
            if self._shell:
                return [args]
            try:
                args = args.split() if _PLAIN_WORDS(args) else shlex.split(args)
            except ValueError as error:
                raise RainException(f"{self.owner}: {args!r} cannot be split into words: {error}") from None
        if isinstance(args, bytes | Mapping) or not isinstance(args, Iterable):
            raise RainException(
                f"{self.owner}: args is a str, or a list of str, data objects, Input and Output, "
                f"not {type(args).__name__}"
            )
        words = list(args)
        if not words:
            raise RainException(f"{self.owner}: args is empty: which program shall run?")
        return words

    def _word(self, index: int, word: Any) -> str | _Slot | int:
        if isinstance(word, str):
            if "\0" in word:
                raise RainException(f"{self.owner}: argument {index} holds a null character")
            if not is_unicode(word):
                raise RainException(f"{self.owner}: argument {index} ({word!r}) is no valid Unicode text")
            return word
        if isinstance(word, OutputBase):
            return self._add_output(word, word.label or word.path or f"arg{index}", mapped=True)
        if isinstance(word, os.PathLike):
            return str(os.fspath(word))
        if not isinstance(word, InputBase):
            if isinstance(word, bytes | int | float):
                raise RainException(
                    f"{self.owner}: argument {index} is {type(word).__name__} ({word!r}); use str(...), or blob(...) "
                    "for data"
                )
            word = self._wrapped(word, f"argument {index} of {self.owner}")
        return self._add_input(word, f"arg{index}")

    def _wrapped(self, obj: Any, of: str) -> InputBase:
        found = as_object(obj, of)
        return (InputDir if found.data_type is DataType.DIRECTORY else Input)(dataobj=found)

    def _map_input(self, item: Any) -> None:
        if isinstance(item, str) and self._placeholders:
            item = Input(item)
        if isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str):
            found = as_object(item[1], f"input_paths of {self.owner}")
            item = (InputDir if found.data_type is DataType.DIRECTORY else Input)(item[0], dataobj=found)
        if not isinstance(item, InputBase):
            item = self._wrapped(item, f"an item of input_paths of {self.owner}")
        self._add_input(item, item.path or self._free_name("in"))

    def _add_input(self, spec: InputBase, default: str) -> _Slot:
        label = default if spec.label is None else spec.label
        slot = self._slots.get(label)
        if slot is not None:
            if slot.bound is not spec.dataobj or slot.path is None:
                raise RainException(f"{self.owner}: the label {label!r} is used for two inputs")
            return slot
        path = spec.path or check_path(label, f"input {label!r} of {self.owner}")
        return self._new_slot(_Slot(label, path, spec))

    def _new_slot(self, slot: _Slot) -> _Slot:
        self.inputs.append(slot)
        self._slots.setdefault(slot.label, slot)
        return slot

    def _add_stdin(self, stdin: Any) -> _Slot:
        if isinstance(stdin, str) and self._placeholders:
            stdin = Input(stdin)
        spec = stdin if isinstance(stdin, InputBase) else self._wrapped(stdin, f"stdin of {self.owner}")
        if spec.data_type is DataType.DIRECTORY:
            raise RainException(f"{self.owner}: a directory cannot be read on stdin")
        label = "stdin" if spec.label is None else spec.label
        slot = self._slots.get(label)
        if slot is not None and slot.bound is spec.dataobj:
            return slot
        return self._new_slot(_Slot(label, spec.path, spec))

    def _add_output(self, output: OutputBase, label: str, *, mapped: bool) -> int:
        if mapped:
            path = output.path or check_path(
                label if output.label is None else output.label, f"output {label!r} of {self.owner}"
            )
            output = output._copy(label=label if output.label is None else output.label, path=path)
        elif output.label is None:
            output = output._copy(label=label)
        self.outputs.append(output)
        self._output_labels.add(output.label)
        self._mapped.append(mapped)
        return len(self.outputs) - 1

    def _add_stream(self, stream: Any, name: str) -> int | None:
        if stream is None or stream is False:
            return None
        if stream is True:
            stream = Output(name)
        if not isinstance(stream, str | OutputBase):
            raise RainException(f"{self.owner}: {name} is True, a label or an Output, not {stream!r}")
        output = as_output(stream, self.owner)
        if output.data_type is DataType.DIRECTORY:
            raise RainException(f"{self.owner}: {name} cannot be a directory")
        return self._add_output(output, name, mapped=False)

    def _free_name(self, prefix: str) -> str:
        number = self._counts.get(prefix, 0)
        while (name := f"{prefix}{number}") in self._slots or name in self._output_labels:
            number += 1
        self._counts[prefix] = number  # no label is ever given up
        return name

    def _check(self) -> None:
        check_labels([slot.label for slot in self.inputs], f"inputs of {self.owner}")
        check_labels([output.label for output in self.outputs], f"outputs of {self.owner}")
        seen: dict[str, str] = {}
        for slot in self.inputs:
            if slot.path is not None:
                if slot.path in seen:
                    both = f"{seen[slot.path]!r} and {slot.label!r}"
                    raise RainException(f"{self.owner}: the inputs {both} have the same path {slot.path!r}")
                seen[slot.path] = slot.label
        paths: set[str | None] = set()
        for output, mapped in zip(self.outputs, self._mapped, strict=True):
            if mapped and output.path in paths:
                raise RainException(f"{self.owner}: two outputs have the same path {output.path!r}")
            if mapped:
                paths.add(output.path)

    # -- what is open ---------------------------------------------------------------------------

    @property
    def unbound(self) -> list[_Slot]:
        """Inputs without an object."""
        return [slot for slot in self.inputs if slot.bound is None]

    # -- making the task ------------------------------------------------------------------------

    def build(self, task: Task, given: Mapping[str, Any], output: Any, outputs: Any, options: Options) -> None:
        """Make `task` run this program, with the placeholders' objects `given` by label."""
        session = options.session or get_active_session()
        objects = []
        for slot in self.inputs:
            obj = slot.bound
            if obj is None:
                obj = as_object(given[slot.label], f"input {slot.label!r} of {self.owner}")
                slot.spec.check(obj)
            declared = slot.spec.content_type
            if declared is not None and obj.content_type is None and obj.state is None:
                record_of(obj).spec.content_type = declared
            objects.append((obj, slot.label))
        made = merge_outputs(self.outputs, output, outputs, self.owner)
        check_labels([item.label for item in made], f"outputs of {self.owner}")
        task._create(session, EXECUTE, self.config(made), objects, made, options.name, options)

    def config(self, outputs: Sequence[OutputBase]) -> ExecuteConfig:
        words = []
        for word in self._words:
            if isinstance(word, int):
                words.append(outputs[word].path or "")
            else:
                words.append(word if isinstance(word, str) else word.path or "")
        index = {id(slot): number for number, slot in enumerate(self.inputs)}
        return ExecuteConfig(
            [" ".join(words)] if self._shell else words,
            self._shell,
            None if self._stdin is None else index[id(self._stdin)],
            self._stdout,
            self._stderr,
            [
                MappedInput(slot.path, number, slot.spec.write)
                for number, slot in enumerate(self.inputs)
                if slot.path is not None
            ],
            [
                MappedOutput(output.path or "", number)
                for number, (output, mapped) in enumerate(zip(outputs, self._mapped, strict=True))
                if mapped
            ],
            self._exit_codes,
        )


class Program:
    """A program that can be run many times with different inputs.

    Parameters
    ----------
    args : str, or sequence of str, data objects, Input, Output
        As of `tasks.Execute`; an `Input` without object is a placeholder.
    stdout, stderr : True, str or Output, optional
        Make what is written there an output.
    stdin : data object, Input or str, optional
        A str is the label of a placeholder.
    input_paths : sequence of Input, InputDir or str
        Mapped without touching the arguments; a str is the label of a placeholder.
    output_paths : sequence of str, Output or OutputDir
        What lies there in the end becomes outputs.
    shell : bool
        Whether ``/bin/sh -c`` runs it: a str as it is, a sequence joined by spaces.
    name : str, optional
        Of the tasks.
    cpus : float
        How many cpus each task takes; 0 and fractions are allowed.
    exit_codes : int or sequence of int
        Those that mean success.
    **options
        Options of every task: see `Task`.

    Raises
    ------
    RainException
        If they are not what they should be, or a placeholder has an option's name.

    Examples
    --------
    >>> count = Program(["grep", "-c", "rain", Input("text")], stdout=Output("count", content_type="text"))
    >>> with client.new_session("programs") as session:
    ...     session.run(count(text=blob("rain\\nsun\\n")))
    '1\\n'
    """

    def __init__(
        self,
        args: str | Sequence[Any],
        stdout: bool | str | OutputBase | None = None,
        stdin: Any = None,
        input_paths: Iterable[Any] = (),
        output_paths: Iterable[str | OutputBase] = (),
        shell: bool = False,
        name: str | None = None,
        cpus: float = 1,
        *,
        stderr: bool | str | OutputBase | None = None,
        exit_codes: Iterable[int] | int = (0,),
        **options: Any,
    ) -> None:
        owner = "Program" if name is None else f"Program {name!r}"
        self._plan = Plan(
            owner, args, stdout, stdin, input_paths, output_paths, shell, stderr, exit_codes, placeholders=True
        )
        for slot in self._plan.unbound:
            if slot.label in _RESERVED:
                raise RainException(
                    f"{owner}: the input label {slot.label!r} is the name of an option, so calls could not tell them "
                    "apart; choose another label (the path can stay)"
                )
        if cpus != 1 or "cpus" not in (options.get("resources") or ()):
            options["cpus"] = cpus
        self._options = Options({"name": name, **options}, owner, Program)

    def options(self, **options: Any) -> Program:
        """The same program with other options.

        Parameters
        ----------
        **options
            Options of every task, and `cpus`, `name`, `session`, `user_spec`.

        Returns
        -------
        Program

        Raises
        ------
        TypeError
            If there is no such option.

        Examples
        --------
        >>> upper = Program(["tr", "a-z", "A-Z"], stdin="text", stdout="loud")
        >>> with client.new_session("options") as session:
        ...     session.run(upper.options(cpus=0)(text=blob("loud")))
        b'LOUD'
        """
        other = Program.__new__(Program)
        other._plan = self._plan
        other._options = self._options.but(options, f"{self._plan.owner}.options()")
        return other

    def __call__(self, /, *, output: Any = None, outputs: Any = None, **given: Any) -> Task:
        """Make a task that runs the program.

        Parameters
        ----------
        output : Output or str, optional
            To be merged with the program's only output.
        outputs : sequence of (Output, str or None), optional
            To be merged with the program's outputs, one by one.
        **given
            A data object or single-output task for each placeholder, by label; other keywords are options.

        Returns
        -------
        Task

        Raises
        ------
        TypeError
            If a placeholder is missing, or there is none with that label.
        RainException
            If an object does not fit.
        """
        plan = self._plan
        labels = [slot.label for slot in plan.unbound]
        chosen = {name: value for name, value in given.items() if name not in labels}
        for name in chosen:
            if name not in NAMES:
                known = ", ".join(map(repr, labels)) or "none"
                meant = hint(name, [*labels, *sorted(NAMES)])
                raise TypeError(f"{plan.owner} has no input or option {name!r}{meant} (inputs are {known})")
        missing = [label for label in labels if label not in given]
        if missing:
            raise TypeError(f"{plan.owner} needs the input{'s' * (len(missing) > 1)} {', '.join(map(repr, missing))}")
        task = Task.__new__(Task)
        plan.build(task, given, output, outputs, self._options.but(chosen, plan.owner))
        return task

    def __repr__(self) -> str:
        plan = self._plan
        words = [str(word) if isinstance(word, str) else f"<{_name(plan, word)}>" for word in plan._words]
        return f"<Program {' '.join(words)}>"


def _name(plan: Plan, word: _Slot | int) -> str | None:
    return plan.outputs[word].label if isinstance(word, int) else word.label


def _listed(items: Any, owner: str, what: str) -> list[Any]:
    if isinstance(items, str | InputBase | OutputBase):
        return [items]
    return listed(items, f"{what} of {owner}")


def _exit_codes(codes: Any, owner: str) -> list[int]:
    if isinstance(codes, int):
        codes = [codes]
    numbers = list(codes) if isinstance(codes, set | frozenset) else _listed(codes, owner, "exit_codes")
    for code in numbers:
        if isinstance(code, bool) or not isinstance(code, int) or not 0 <= code <= _EXIT_CODE_MAX:
            raise RainException(f"{owner}: exit_codes are numbers from 0 to {_EXIT_CODE_MAX}, not {code!r}")
    if not numbers:
        raise RainException(f"{owner}: exit_codes is empty, so no end of the program would be good")
    return numbers
