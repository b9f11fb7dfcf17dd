"""Imports inside functions have a reason that is listed; no module is in an import circle, whatever is counted.

The graph is read from the text of all modules. An edge is an ``import`` statement, also one inside a function; not one
under ``if TYPE_CHECKING``, which never runs, nor a name that a package offers through importlib (the ``__init__`` of
`rain` and `rain.client`).
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

LAZY = {
    "an executor's code, for `Remote.local` only": {
        "rain.client.functions.local_call": {"rain.executor.context", "rain.executor.staging"},
    },
    "above the client; for `Task.capsule`, `Session.report`, `Client.executor` and `Client.pool` only": {
        "rain.client.operations.executors": {"rain.interfaces.executor"},
        "rain.client.places.pools": {
            "rain.deploy.pools.choice",
            "rain.deploy.pools.pool",
            "rain.deploy.pools.on_disk.published",
            "rain.deploy.pools.elastic",
        },
        "rain.client.task": {"rain.capsule.writer"},
        "rain.client.report.session_views": {"rain.notebook.report.writer"},
    },
    "a check before a run, for `Session.check` only": {
        "rain.client.preflight.session_part": {"rain.client.preflight.check"},
    },
    "Dask and Ray, extras; for places on them only": {
        "rain.deploy.frameworks.dask_places": {"dask", "distributed", "rain.deploy.frameworks.dask_worker"},
        "rain.deploy.frameworks.ray_places": {
            "ray",
            "ray.util.placement_group",
            "ray.util.scheduling_strategies",
        },
    },
    "each command of `rain` starts with what it needs and no more": {
        "rain.cli": {
            "rain",
            "rain.cli.commands",
            "rain.cli.daemon",
            "rain.cli.pool_keeper",
            "rain.deploy.hosts.guarded",
            "rain.processes.elsewhere.holding",
            "rain.processes.guardian",
        },
        "rain.cli.cache": {
            "rain.client.core.reuse.entries",
            "rain.client.core.reuse.reasons",
            "rain.client.reuse.folder",
        },
        "rain.cli.journal": {"rain.server.journal.checking", "rain.server.recovery.records"},
        "rain.cli.restart": {"rain.deploy.restart", "rain.deploy.stop", "rain.processes.private_folders"},
        "rain.cli.pools": {
            "rain.deploy.pools.adding",
            "rain.deploy.pools.choice",
            "rain.deploy.pools.on_disk.orphans",
            "rain.deploy.pools.on_disk.records",
            "rain.deploy.pools.on_disk.requests",
            "rain.deploy.stop",
            "rain.processes.connection_files",
        },
        "rain.cli.commands": {
            "rain.cli.daemon",
            "rain.cli.demo",
            "rain.cli.doctor",
            "rain.cli.report",
            "rain.cli.server_query",
            "rain.deploy.hosts.ssh",
            "rain.deploy.nodes",
            "rain.executor.gangs.launching",
            "rain.deploy.start",
            "rain.deploy.stop",
            "rain.governor.surroundings.leaving",
            "rain.net.auth",
            "rain.net.https",
            "rain.net.own_address",
            "rain.processes.connection_files",
            "rain.processes.fate",
            "rain.processes.own_credentials",
            "rain.processes.private_folders",
        },
        "rain.cli.demo": {"collections", "rain"},
        "rain.cli.kubernetes": {
            "rain.common.protocol.address",
            "rain.deploy.engines.jobs",
            "rain.deploy.kubernetes.manifest",
            "rain.deploy.start",
            "rain.governor.surroundings.leaving",
            "rain.host.network.addresses",
        },
    },
    "guardian and keeper stay as long as the cluster, and import next to nothing": {
        "rain.host.lifeline": {"threading"},
        "rain.host.starting": {"ctypes", "subprocess"},
        "rain.processes.elsewhere.holding": {"traceback"},
        "rain.processes.guarding.guarded_process": {"traceback"},
        "rain.processes.guardian": {"gc", "importlib", "rain.objects.dirtree"},
        "rain.processes.keeper": {"rain.common.limits", "rain.processes.scratch"},
        "rain.processes.guarding.standby": {"traceback"},
        "rain.processes.logs": {"ctypes"},
    },
    "slow to import, and few processes or connections need it": {
        "rain.cli.daemon": {
            "asyncio",
            "rain.cli.server_query",
            "rain.common.protocol.messages",
            "rain.governor.shell",
            "rain.server.shell",
            "uvloop",
        },
        "rain.executor.context": {"rain.executor.gangs.launchers", "rain.executor.gangs.launching"},
        "rain.executor.loop": {
            "rain.executor.gangs.companion",
            "rain.executor.gangs.launching",
            "rain.executor.views.own",
        },
        "rain.executor.progress": {"rain.executor.views.preview"},
        "rain.executor.python.later": {"asyncio"},
        "rain.governor.config": {"tomllib"},
        "rain.host.machine": {"hashlib", "uuid"},
        "rain.net.auth": {
            "cryptography",
            "cryptography.hazmat.primitives",
            "cryptography.hazmat.primitives.asymmetric",
            "datetime",
            "ssl",
        },
        "rain.net.https": {"urllib.error", "urllib.request"},
        "rain.net.sealing": {
            "cryptography.exceptions",
            "cryptography.hazmat.primitives.asymmetric.x25519",
            "cryptography.hazmat.primitives.ciphers.aead",
            "cryptography.hazmat.primitives.hashes",
            "cryptography.hazmat.primitives.kdf.hkdf",
        },
        "rain.objects.content_types.registry": {"importlib.metadata"},
        "rain.server.policy_loading": {"importlib.metadata"},
        "rain.client.reuse.versions": {"importlib"},
    },
    "30 ms that a client without Python functions does not need": {
        "rain.client.functions.pickling": {"cloudpickle"},
        "rain.objects.pickling.buffers": {"cloudpickle", "rain.objects.pickling.callables"},
        "rain.objects.pickling.callables": {"cloudpickle"},
        "rain.objects.pickling.importable": {"cloudpickle"},
    },
    "Rain itself, for the fixtures only: pytest loads the plugin for any tests": {
        "rain.pytest_plugin": {"rain"},
    },
    "an optional library, imported when a value or a file of its kind comes": {
        "rain.client.report.graphviz_export": {"graphviz"},
        "rain.executor.random_numbers": {"numpy"},
        "rain.executor.views.pictures": {"PIL", "matplotlib.backends.backend_agg", "numpy"},
        "rain.client.report.progress": {"tqdm.auto"},
        "rain.notebook.inspectors.viewers.arrow_table": {"pyarrow", "pyarrow.types"},
        "rain.notebook.inspectors.viewers.npy_table": {"numpy"},
        "rain.objects.content_types.arrow.frames": {"numpy", "pandas", "pyarrow"},
        "rain.objects.content_types.arrow.tables": {"numpy", "pandas", "polars", "pyarrow"},
        "rain.objects.content_types.arrow.views": {"numpy"},
        "rain.objects.pickling.reduce.arrow": {"pyarrow"},
        "rain.objects.pickling.reduce.jax_arrays": {"jax", "numpy"},
        "rain.objects.pickling.reduce.polars": {"polars", "pyarrow"},
        "rain.objects.pickling.reduce.tensors": {"torch"},
    },
    "`rain.notebook` is loaded when something is first shown, and the magics when they are asked for": {
        "rain.notebook": {"rain.client.session", "rain.notebook.magics"},
        "rain.notebook.displays": {
            "IPython.display",
            "rain.notebook.details",
            "rain.notebook.inspectors",
            "rain.notebook.places.widget",
            "rain.notebook.plain_forms",
            "rain.notebook.widget",
        },
        "rain.notebook.inspectors.inspection": {"rain.objects.readers"},
        "rain.notebook.inspectors.pickled.values": {
            "rain.objects.content_types.codecs",
            "rain.objects.pickling.buffers",
        },
        "rain.notebook.magics": {
            "rain.notebook.magics.completion",
            "rain.notebook.magics.echo",
            "rain.notebook.magics.input_transform",
            "rain.notebook.magics.magics",
        },
        "rain.notebook.magics.api": {
            "rain.client.client",
            "rain.client.places.pools",
            "rain.common.protocol.address",
            "rain.notebook.places.asking",
            "rain.notebook.places.progress",
            "rain.notebook.plain_forms",
            "rain.processes.connection_files",
        },
        "rain.notebook.magics.completion": {"IPython.core.completer"},
        "rain.notebook.magics.table": {"rain.notebook.inspectors.sanitize"},
    },
}
"""Why not at the top -> module -> what it imports inside a function."""

Edge = tuple[str, str, bool]
"""Module, what it imports, and whether that is inside a function."""


def name_of(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


FILES = {name_of(file): file for file in sorted((ROOT / "rain").rglob("*.py"))}


def imports(node: ast.AST, module: str, inside: bool = False) -> Iterator[Edge]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            for other in child.orelse:
                yield from imports(ast.Module([other], []), module, inside)
            continue
        if isinstance(child, ast.Import):
            yield from ((module, alias.name, inside) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.module is not None, f"{module}: imports are absolute"
            for alias in child.names:
                whole = f"{child.module}.{alias.name}"
                yield module, whole if whole in FILES else child.module, inside
        yield from imports(child, module, inside or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))


@functools.cache
def all_imports() -> list[Edge]:
    """Those of all modules; each process that collects tests imports this file, and reads them only if it runs one."""
    return [edge for module, file in FILES.items() for edge in imports(ast.parse(file.read_text()), module)]


def circles(edges: dict[str, set[str]]) -> list[set[str]]:
    """The strongly connected components of more than one module (Tarjan's algorithm)."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    open_: list[str] = []
    found: list[set[str]] = []

    def visit(module: str) -> None:
        number[module] = low[module] = len(number)
        open_.append(module)
        for other in sorted(edges[module]):
            if other not in number:
                visit(other)
            if other in open_:
                low[module] = min(low[module], low[other])
        if low[module] == number[module]:
            circle = set(open_[open_.index(module) :])
            del open_[open_.index(module) :]
            if len(circle) > 1:
                found.append(circle)

    for module in edges:
        if module not in number:
            visit(module)
    return found


def test_imports_inside_functions_are_listed() -> None:
    found = sorted({(module, other) for module, other, inside in all_imports() if inside})
    listed = [(module, other) for modules in LAZY.values() for module, others in modules.items() for other in others]
    assert sorted(listed) == found


def test_no_module_is_in_a_circle() -> None:
    edges: dict[str, set[str]] = {module: set() for module in FILES}
    for module, other, _ in all_imports():
        if other in FILES and other != module:
            edges[module].add(other)
    assert circles(edges) == []


def test_circles_are_seen() -> None:
    edges = {"a": {"b"}, "b": {"c", "d"}, "c": {"a"}, "d": {"e"}, "e": {"d"}, "f": {"a"}}
    assert sorted(map(sorted, circles(edges))) == [["a", "b", "c"], ["d", "e"]]
