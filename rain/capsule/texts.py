"""Texts and scripts in a capsule: the error, the environment, the function's source, how to repeat the task."""

from __future__ import annotations

import inspect
import os
import pickle
import platform
import re
import shlex
import sys
from collections.abc import Iterable
from importlib import metadata
from types import FunctionType
from typing import TYPE_CHECKING, Any

from rain.capsule.description import OUTPUTS, WORK, CapsuleInput
from rain.client.functions import call_sites
from rain.client.report.failures import title
from rain.common.errors import RainException
from rain.common.ids import ID
from rain.common.spec import ObjectSpec, TaskSpec
from rain.common.task_configs import IN_GOVERNOR, ExecuteConfig, FunctionPayload, PyConfig, read_config
from rain.objects.pickling.placeholders import resolving

if TYPE_CHECKING:
    from rain.client.core.records import TaskRecord
    from rain.client.functions.function import Source

_VALUE_CHARS_MAX = 2000
_HARMLESS = re.compile(r"[^A-Za-z0-9_.-]+")
NAME_CHARS_MAX = 60
"""What a file's name may have of a label."""


def error_text(story: str, stdout: str, stderr: str) -> str:
    """``error.txt``."""
    parts = [story]
    for name, text in (("stdout", stdout), ("stderr", stderr)):
        parts.append(f"--- {name} (the tail of much) ---\n{text.rstrip()}" if text else f"--- {name}: nothing ---")
    return "\n\n".join(parts)


def environment_text(spec: TaskSpec) -> str:
    """``environment.txt``: Python, packages, the task's own variables."""
    lines = [f"python {platform.python_version()} ({sys.executable})", f"platform {platform.platform()}", ""]
    env = spec.options.env if spec.options is not None else {}
    if env:
        lines += ["# environment variables of the task", *(f"{name}={env[name]}" for name in sorted(env)), ""]
    lines.append("# installed where the capsule was made")
    found = {(d.metadata["Name"] or "", d.version) for d in metadata.distributions()}
    lines += sorted((f"{name}=={version}" for name, version in found if name), key=str.lower)
    return "\n".join(lines)


# -- Python ----------------------------------------------------------------------------------------


def source_text(name: str, payload: FunctionPayload, source: Source | None) -> str:
    """``task.py``: the source of the function, for reading: what runs is the pickled function."""
    head = f"# {_comment(name)}: the function {_comment(payload.name)} and what it uses, to be read"
    parts = [f"{head}; debug.py runs the pickled function."]
    files = {source.file_name for source in payload.sources}
    for text in payload.sources:
        parts.append(f"# --- {text.shown or text.file_name} ---\n{text.text.rstrip()}")
    function = source.function if source is not None else None
    if isinstance(function, FunctionType) and function.__code__.co_filename not in files:
        try:
            lines, first = inspect.getsourcelines(function)
        except (OSError, TypeError):
            lines, first = [], 0
        if lines:
            where = call_sites.name_of_file(function.__code__.co_filename)
            parts.append(f"# --- {where}, line {first} ---\n{''.join(lines).rstrip()}")
    if len(parts) == 1:
        parts.append("# Its source is not known here; modules/ has the modules that it uses.")
    return "\n\n\n".join(parts)


class _Shown:
    """Stands for an input among the arguments."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def arguments_text(spec: TaskSpec, inputs: list[CapsuleInput]) -> str:
    """The arguments of a Python task, for reading."""
    files = {item.spec.id: item.file for item in inputs}

    def resolve(id: ID) -> Any:
        return _Shown(f"<{files.get(ID(*id), 'an object')}>")

    try:
        with resolving(resolve):
            args, kwargs = pickle.loads(read_config(spec.config, PyConfig).args)
        shown = [_short(value) for value in args] + [f"{name}={_short(value)}" for name, value in kwargs.items()]
    except (Exception, SystemExit, GeneratorExit) as error:  # whatever classes of the user do
        return f"(the arguments cannot be shown: {type(error).__name__}: {error})"
    return ", ".join(["ctx", *shown])


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _VALUE_CHARS_MAX else f"{text[:_VALUE_CHARS_MAX]} … ({len(text)} characters)"


def debug_script(name: str) -> str:
    """``debug.py``."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return _DEBUG.format(name=_comment(name), root=root)


_DEBUG = """# {name}
#
# Runs the task on the inputs in this folder, in this process:
#
#     python debug.py             prints the outputs, or the traceback
#     python -m pdb debug.py      then "c": the debugger opens where the exception was raised
#
# What the task makes is put into outputs/.

import os
import sys

try:
    import rain
except ImportError:
    sys.path.append({root!r})

from rain.capsule.rerun import main

if __name__ == "__main__":
    main(os.path.dirname(os.path.abspath(__file__)))
"""


def _comment(text: str) -> str:
    """`text` as one line of a comment."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


# -- programs --------------------------------------------------------------------------------------


def run_script(
    name: str, spec: TaskSpec, config: ExecuteConfig, inputs: list[CapsuleInput], outputs: list[ObjectSpec]
) -> str:
    """``run.sh``: lays out the working directory, runs the command, collects the outputs."""
    quote = shlex.quote
    lines = ["#!/bin/sh", f"# {_comment(name)}", "# Runs the program on the inputs in this folder.", ""]
    lines += ['here=$(cd "$(dirname "$0")" && pwd) || exit 1', f'rm -rf "$here/{WORK}" "$here/{OUTPUTS}"']
    lines += [f'mkdir -p "$here/{WORK}" "$here/{OUTPUTS}" && cd "$here/{WORK}" || exit 1', ""]
    for mapped in config.inputs:
        path, source = quote(inside(mapped.path)), f'"$here"/{quote(inputs[mapped.index].file)}'
        lines.append(f"mkdir -p -- {quote(os.path.dirname(inside(mapped.path)))}")
        if inputs[mapped.index].spec.data_type == "dir":
            lines.append(f"mkdir -p -- {path} && cp -R -- {source}/. {path}/")
        else:
            lines.append(f"cp -- {source} {path}")
        if not mapped.write:
            lines.append(f"find {path} -type f -exec chmod a-w {{}} +")
    env = spec.options.env if spec.options is not None else {}
    lines += [f"export {variable}={quote(value)}" for variable, value in env.items() if variable.isidentifier()]
    stdin = "/dev/null" if config.stdin is None else f'"$here"/{quote(inputs[config.stdin].file)}'
    command = f"/bin/sh -c {quote(config.args[0])}" if config.shell else " ".join(map(quote, config.args))
    streams = [f"< {stdin}"]
    for sign, index in ((">", config.stdout), ("2>", config.stderr)):
        if index is not None:
            streams.append(f'{sign} "$here"/{quote(output_file(index, outputs))}')
    lines += ["", f"{command} {' '.join(streams)}", "status=$?", 'echo "exit status $status" >&2', ""]
    for made in config.outputs:
        path = quote(inside(made.path))
        keep = f'cp -R -- {path} "$here"/{quote(output_file(made.index, outputs))}'
        lines.append(f"if [ -e {path} ]; then {keep}; else echo {quote(f'{made.path} was not made')} >&2; fi")
    codes = "|".join(str(code) for code in config.exit_codes if 0 <= code < 256) or "none"
    lines += [f'case "$status" in {codes}) exit 0;; 0) exit 1;; *) exit "$status";; esac']
    return "\n".join(lines)


def output_file(index: int, outputs: list[ObjectSpec]) -> str:
    """Where in the capsule output number `index` is put."""
    return f"{OUTPUTS}/{index:02d}{harmless(outputs[index].label)}"


def harmless(label: str | None) -> str:
    """What of a label may stand in a file's name, behind a dash; empty if nothing."""
    name = _HARMLESS.sub("_", label or "").strip("._")[:NAME_CHARS_MAX]
    return f"-{name}" if name else ""


def inside(path: str) -> str:
    """A path of a program's working directory, as a relative one that begins with a dot.

    Raises
    ------
    RainException
        If it leads out of there.
    """
    short = os.path.normpath(path) if path else "."
    if short.startswith(("/", "../")) or short == ".." or "\0" in short:
        raise RainException(f"the path {path!r} leads out of the program's directory")
    return short if short == "." else f"./{short}"


# -- about it --------------------------------------------------------------------------------------


def readme(
    record: TaskRecord,
    inputs: list[CapsuleInput],
    outputs: list[ObjectSpec],
    program: ExecuteConfig | None,
    arguments: str,
) -> str:
    """``README.txt``."""
    spec = record.spec
    lines = [title(record), f"made at {call_sites.describe(record.made)}", ""]
    if program is not None:
        command = program.args[0] if program.shell else shlex.join(program.args)
        lines += ["Run it again:  sh run.sh", f"Command:       {command}", ""]
        lines.append("The program runs in work/, its outputs land in outputs/.")
    elif arguments:
        lines += ["Run it again:  python debug.py", "Debug it:      python -m pdb debug.py"]
        lines += [f"Call:          ({arguments})", ""]
        lines.append("task.py is the function's source, to be read; what runs is the pickle in function.msgpack.")
    elif spec.task_type in IN_GOVERNOR:
        lines.append("Run it again:  python debug.py")
    else:
        executor = spec.task_type.partition("/")[0]
        lines.append(f"Only executors of type {executor!r} can run it; config.msgpack is its config.")
    lines += ["", "Inputs:", *(_listed(item) for item in inputs)] if inputs else ["", "It has no inputs."]
    lines += ["Outputs:", *(f"  {output.label or index}" for index, output in enumerate(outputs))] if outputs else []
    lines += ["", f"Resources: {', '.join(f'{name} {amount:g}' for name, amount in spec.resources.items()) or 'none'}"]
    if spec.options is not None:
        lines.append(f"Options: {spec.options}")
    lines += ["", "error.txt         how it ended, and what it wrote", "environment.txt   Python, packages, variables"]
    lines.append("The capsule holds data and pickles of yours: give it only to whom you would give those.")
    return "\n".join(lines)


def _listed(item: CapsuleInput) -> str:
    parts: Iterable[str | None] = (item.label, item.info.content_type or item.spec.content_type, item.spec.data_type)
    return f"  {item.file}  ({', '.join(part for part in parts if part)}; object {item.spec.id})"
