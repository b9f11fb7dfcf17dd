"""Prepares graphs of Dask: finds the nodes that are needed, joins them to chains, and orders these."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from dask import order
from dask._task_spec import Alias, DataNode, GraphNode, Task, TaskRef, convert_legacy_graph, cull
from dask.utils import ensure_dict, key_split

from rain.common.errors import RainException

_BETWEEN_WORKERS = frozenset({"shuffle-transfer", "shuffle-p2p", "rechunk-transfer", "rechunk-p2p"})
_STORES = frozenset({"load_store_chunk", "store_chunk"})
_NAMES_MAX = 10
"""How many aliases in a row are followed to find the target of a store."""


class Chain(NamedTuple):
    """Nodes that become one task: each but the last is needed by the next one only.

    Attributes
    ----------
    nodes : list of (key, GraphNode)
    needs : list of key
        Keys of the nodes and data outside the chain that its nodes need.
    """

    nodes: list[tuple[Any, GraphNode]]
    needs: list[Any]


class Prepared:
    """A graph as chains, of each of which one task is made.

    Parameters
    ----------
    graph : mapping
        A graph of Dask, of any kind.
    keys : sequence of key
        The keys to compute.
    fuse : bool
        Whether nodes are joined to chains of more than one node.

    Attributes
    ----------
    data : dict of key to any
        The values that are in the graph itself.
    aliases : dict of key to key
        For each other name of a node or of data, the name of that node or data.
    chains : dict of key to Chain
        Chains by the key of their last node; each comes after the chains that it needs.

    Raises
    ------
    KeyError
        If a key is not in the graph.
    RainException
        If the graph stores into an array in the memory of this process, which tasks cannot reach, or was made for the
        workers of `dask.distributed`.
    """

    def __init__(self, graph: Any, keys: Sequence[Any], fuse: bool) -> None:
        if hasattr(graph, "__dask_graph__"):  # an expression
            graph = graph.__dask_graph__()
        nodes = convert_legacy_graph(ensure_dict(graph))
        for key in keys:
            if key not in nodes:
                raise KeyError(key)
        nodes = cull(nodes, list(dict.fromkeys(keys)))
        self.data = {key: node.value for key, node in nodes.items() if isinstance(node, DataNode)}
        self.aliases = {key: _last(nodes, key) for key, node in nodes.items() if isinstance(node, Alias)}
        _refuse_lost_writes(nodes)
        _refuse_peers(nodes)
        rank = order.order(nodes)
        calls = [key for key in sorted(nodes, key=rank.__getitem__) if not isinstance(nodes[key], Alias | DataNode)]
        self.chains: dict[Any, Chain] = {}
        self._join(nodes, calls, {self.known_as(key) for key in keys} if fuse else set(calls))

    def known_as(self, key: Any) -> Any:
        """The key of the node or the data that `key` stands for."""
        return self.aliases.get(key, key)

    def used(self) -> dict[Any, int]:
        """By how many chains each key is needed."""
        count: dict[Any, int] = {}
        for chain in self.chains.values():
            for key in chain.needs:
                count[key] = count.get(key, 0) + 1
        return count

    def _join(self, nodes: dict[Any, GraphNode], calls: list[Any], alone: set[Any]) -> None:
        """Make chains of `calls`; those of `alone` end one."""
        needs = {key: list(dict.fromkeys(map(self.known_as, nodes[key].dependencies))) for key in calls}
        users: dict[Any, int] = {}
        for key in calls:
            for need in needs[key]:
                users[need] = users.get(need, 0) + 1
        # An alias that is a name in a node of a chain has to be found there under that name.
        renamed = set(self.aliases.values())
        for key in calls:
            made = [need for need in needs[key] if need not in self.data]
            before = made[0] if len(made) == 1 else None
            joined = (
                before is not None
                and users[before] == 1
                and before not in alone
                and before not in renamed
                and not getattr(nodes[before], "block_fusion", False)
                and not getattr(nodes[key], "block_fusion", False)
            )
            if joined:
                chain = self.chains.pop(before)
                chain.nodes.append((key, nodes[key]))
                chain.needs.extend(need for need in needs[key] if need != before and need not in chain.needs)
                self.chains[key] = chain
            else:
                self.chains[key] = Chain([(key, nodes[key])], needs[key])


def _refuse_lost_writes(nodes: Mapping[Any, GraphNode]) -> None:
    arrays: Any = getattr(sys.modules.get("numpy"), "ndarray", ())
    for key, node in nodes.items():
        for target in _targets(node, nodes) if "store-map" in str(key) else ():
            in_memory = type(getattr(target, "store", None)).__name__ == "MemoryStore"  # of zarr
            if in_memory or isinstance(target, arrays):
                raise RainException(
                    f"dask.array.store() would write into a {type(target).__name__} in the memory of this process, "
                    "which tasks do not reach: take compute(), or a target on disk that all governors see (zarr, HDF5)"
                )


def _refuse_peers(nodes: Mapping[Any, GraphNode]) -> None:
    """Refuse graphs whose nodes talk to each other, as Dask makes them where a client of its own is open."""
    if any(key_split(key) in _BETWEEN_WORKERS for key in nodes):
        raise RainException(
            "this graph moves data between Dask's own workers, because a client of dask.distributed is open here: "
            'close it, or make the graph with dask.config.set({"dataframe.shuffle.method": "tasks", '
            '"array.rechunk.method": "tasks"})'
        )


def _targets(node: Any, known: Mapping[Any, Any]) -> Iterator[Any]:
    """What nodes store into; `known` is what stands for names."""
    name = getattr(node.func, "__name__", "") if isinstance(node, Task) else ""
    if name in _STORES and len(node.args) > 1:
        target = node.args[1]
        for _ in range(_NAMES_MAX):
            if isinstance(target, TaskRef | Alias):
                target = known.get(target.key if isinstance(target, TaskRef) else target.target)
        yield target.value if isinstance(target, DataNode) else target
    elif name == "_execute_subgraph":
        inner, _, names, *given = node.args
        inside = {**known, **inner, **dict(zip(names, given, strict=False))}
        for part in inner.values():
            yield from _targets(part, inside)


def _last(nodes: Mapping[Any, GraphNode], key: Any) -> Any:
    node = nodes.get(key)
    while isinstance(node, Alias):
        key = node.target
        node = nodes.get(key)
    return key


def wanted_keys(keys: Any) -> Iterator[Any]:
    """The keys in nested lists of keys."""
    if isinstance(keys, list):
        for key in keys:
            yield from wanted_keys(key)
    else:
        yield keys


def as_asked(keys: Any, values: Mapping[Any, Any]) -> Any:
    """The values in the places of the keys; lists become tuples, as Dask's own schedulers give them."""
    if isinstance(keys, list):
        return tuple(as_asked(key, values) for key in keys)
    return values[keys]
