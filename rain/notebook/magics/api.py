"""What the line magics do, as plain functions."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from rain.client.active_session import get_active_session
from rain.client.data import DataObject
from rain.client.handles import is_over
from rain.client.operations import session_operations
from rain.client.operations.operation import block
from rain.client.report.progress import with_bar
from rain.client.task import Task
from rain.common.errors import RainException
from rain.common.jupyter import display_hooks
from rain.deploy.pools.words import ELASTIC_OPTIONS
from rain.notebook.jupyter_quirks import current_shell
from rain.notebook.magics.table import governors_text, tasks_text
from rain.objects.data_instance import DataInstance

if TYPE_CHECKING:
    from rain.client.client import Client
    from rain.client.session import Session

PATIENCE_S = 0.25
"""Only longer waits show a progress bar."""
ON = {"nodes": "int", "wait": "int", "timeout": "float", "host": "str", "session": "str", **ELASTIC_OPTIONS}
"""Options of ``%rain_connect --on`` that are not the engine's, and their types."""
_opened: Client | None = None  # what `connect` opened last


def connect(
    address: str | None = None,
    *,
    local: int | bool = False,
    on: str | None = None,
    session: str | None = None,
    **options: Any,
) -> Session:
    """Connect to a server, or start a private cluster or one on an engine, and open a default session; what
    ``%rain_connect`` does.

    What an earlier call opened is closed, once the new connection stands.

    Parameters
    ----------
    address : str, optional
        ``host`` or ``host:port``. With neither this nor `local` it is the server that you started on this machine, or
        a private cluster if there is none.
    local : int or bool
        Start a private cluster: with so many cpus, or (True) all of this machine's.
    on : str, optional
        An engine, such as ``"slurm"``, on which places with governors are asked for, as by `Client.on`. They are shown
        while they come.
    session : str, optional
        Its name. A persistent session of that name at the server is gone on with.
    **options
        With `on`: those of `Client.on`.

    Returns
    -------
    Session

    Raises
    ------
    RainException
        If that is impossible; what was open before stays so.

    Examples
    --------
    >>> session = connect(local=2, session="words")
    >>> session.name
    'words'
    >>> disconnect()
    """
    if on is None and options:
        raise RainException(f"{', '.join(options)}: options of places, which are asked for with on=")
    return open_session(address, local, session, None if on is None else (on, options))[0]


def open_session(
    address: str | None, local: int | bool, name: str | None, places: tuple[str, dict[str, Any]] | None = None
) -> tuple[Session, str]:
    """The new default session, and a line about it.

    Parameters
    ----------
    address, local, name
        See `connect`.
    places : tuple of (str, dict), optional
        An engine, and options of `Client.on`.
    """
    global _opened
    if (address is not None) + (local is not False) + (places is not None) > 1:
        raise RainException("give an address, or ask for a private cluster, or for places on an engine")
    client, what = _client(address, local) if places is None else _client_on(*places)
    try:
        session, verb = _session(client, name)
        session.set_as_default()
    except BaseException:
        client.close()
        raise
    text = f"{what}; {verb} session {session.session_id} {session.name!r}, the default now."
    earlier, _opened = _opened, client
    if earlier is not None and not is_over(earlier):
        text += f" Closed {'the private cluster' if earlier._cluster is not None else 'the connection'} of before."
        earlier.close()
    return session, text


def _client(address: str | None, local: int | bool) -> tuple[Client, str]:
    from rain.client.client import Client

    if local is False and address is None and not _has_own_server():
        local = True
    if local is False:
        client = Client() if address is None else Client(address)
        return client, f"Connected to {client.address}"
    client = Client.local(None if local is True else local)
    cpus = sum(int(governor["resources"].get("cpus", 0)) for governor in client.get_server_info()["governors"])
    return client, f"Started a private cluster with {cpus} {'cpu' if cpus == 1 else 'cpus'} at {client.address}"


def _client_on(engine: str, options: dict[str, Any]) -> tuple[Client, str]:
    from rain.client.client import Client
    from rain.client.places.pools import client_on
    from rain.notebook.places.progress import shown

    client = client_on(Client, engine, shown=shown, **options)
    pool = client.pools[0]
    up = sum(place.state.value == "up" for place in pool.places)
    text = f"{up} of {len(pool.places)} places on {engine} up"
    if pool.rules is not None:
        text += f", from {pool.rules.minimum} to {pool.rules.maximum} of them as work asks for"
    return client, f"Started a server at {client.address}; {text}"


def _has_own_server() -> bool:
    from rain.common.protocol.address import SERVER_PORT, format_address
    from rain.processes import connection_files

    try:
        connection_files.find(format_address("localhost", SERVER_PORT))
    except RainException:
        return False
    return True


def _session(client: Client, name: str | None) -> tuple[Session, str]:
    if name is None:
        return client.new_session("notebook"), "new"
    if any(summary.persistent and summary.name == name for summary in client.sessions()):
        return client.attach(name), "persistent"
    return client.new_session(name), "new"


def disconnect() -> None:
    """Close what `connect` opened; nothing if that is closed.

    Examples
    --------
    >>> _ = magics.connect(local=1)
    >>> magics.disconnect()
    """
    global _opened
    earlier, _opened = _opened, None
    if earlier is not None:
        earlier.close()


def opened() -> Client | None:
    """The client that `connect` opened last."""
    return _opened


def submit() -> tuple[int, int]:
    """Submit what is new in the active session.

    Returns
    -------
    tuple of (int, int)
        How many tasks and data objects that was, constants included.

    Raises
    ------
    RainException
        If no session is active, or the graph is wrong.

    Examples
    --------
    >>> session = magics.connect(local=1)
    >>> _ = tasks.Concat([blob("a")])
    >>> magics.submit()
    (1, 2)
    >>> magics.disconnect()
    """
    session = get_active_session()
    tasks, objects = session.task_count, session.dataobj_count
    session.submit()
    return tasks, objects


def wait() -> None:
    """Wait for all that was submitted in the active session, with a progress bar if it takes more than a moment.

    Raises
    ------
    RainException
        If no session is active.
    TaskException
        As soon as a task failed.

    Examples
    --------
    >>> session = magics.connect(local=1)
    >>> task = tasks.Concat([blob("a")])
    >>> _ = magics.submit()
    >>> magics.wait()
    >>> task.state
    <TaskState.FINISHED: 'finished'>
    >>> magics.disconnect()
    """
    session = get_active_session()
    with suppress(TimeoutError):
        session.wait_all(timeout=PATIENCE_S)
        return
    session.wait_all(progress=True)


def fetch(item: Any, names: dict[str, Any] | None = None) -> DataInstance | list[DataInstance]:
    """Wait for the data of a task or object, with a progress bar if it takes more than a moment, and give access to it.

    Parameters
    ----------
    item : Task, DataObject or str
        A text is an expression of the notebook, or a name in the active session.
    names : dict, optional
        Variables for such expressions; the notebook's if not given.

    Returns
    -------
    DataInstance or list of DataInstance
        A list for a task with several outputs, in order.

    Raises
    ------
    RainException
        If `item` means no task or data object, is not kept, or was not submitted.
    TaskException
        If its data cannot come because a task failed.

    Examples
    --------
    >>> session = magics.connect(local=1)
    >>> text = tasks.Concat([blob("a")], output="text")
    >>> text.keep_outputs()
    >>> _ = magics.submit()
    >>> magics.fetch("text").get_str()
    'a'
    >>> magics.disconnect()
    """
    found = look_up(item, names)
    if isinstance(found, DataInstance):
        return found
    session: Session = found._session
    if not _soon(session, found):
        block(session._checked(with_bar(session, session_operations.wait(session, found))))
    if isinstance(found, Task) and len(found.outputs) != 1:
        return found.fetch_outputs()
    instance: DataInstance = session.fetch(found)
    return instance


def _soon(session: Session, item: Task | DataObject) -> bool:
    """Wait for it, for a moment; whether it is finished."""
    try:
        session.wait(item, timeout=PATIENCE_S)
    except TimeoutError:
        return False
    return True


def look_up(item: Any, names: dict[str, Any] | None = None) -> Task | DataObject | DataInstance:
    """The task, object or data instance that `item` is, or that a text means.

    Raises
    ------
    RainException
        If it is none.
    """
    failed: Exception | None = None
    found = item
    if isinstance(item, str):
        try:
            found = eval(item.strip(), _notebook() if names is None else names)
        except Exception as error:
            failed, found = error, None
    if isinstance(found, Task | DataObject | DataInstance):
        return found
    if not isinstance(item, str):
        raise RainException(f"a task, a data object or a data instance is needed, not {type(item).__name__}")
    name = found if isinstance(found, str) else item.strip()
    try:
        return get_active_session().find(name)
    except RainException:
        if failed is not None and not isinstance(failed, NameError | SyntaxError):
            raise failed from None
        if failed is None and not isinstance(found, str):
            raise RainException(
                f"{name} is {type(found).__name__}, not a task, a data object or a data instance"
            ) from None
        raise


def _notebook() -> dict[str, Any]:
    shell = current_shell()
    return {} if shell is None else {**shell.user_global_ns, **shell.user_ns}


def graph() -> None:
    """Show the active session.

    Raises
    ------
    RainException
        If no session is active.

    Examples
    --------
    >>> session = magics.connect(local=1, session="first")
    >>> magics.graph()  # outside of a notebook its text
    <Session 1 'first' open, nothing submitted>
    >>> magics.disconnect()
    """
    show("session", get_active_session())


def tasks(limit: int = 40) -> str:
    """The tasks of the active session as a table.

    Parameters
    ----------
    limit : int
        Of more tasks than these, those are shown that failed or are not yet finished.

    Returns
    -------
    str

    Raises
    ------
    RainException
        If no session is active, or `limit` is negative.

    Examples
    --------
    >>> session = magics.connect(local=1)
    >>> print(magics.tasks())
    0 tasks in session 'notebook'
    >>> magics.disconnect()
    """
    if limit < 0:
        raise RainException(f"limit is not negative, as {limit} is")
    return tasks_text(get_active_session(), limit)


def status() -> None:
    """Show the client of the active session, or the one that `connect` opened: address, governors, sessions.

    Raises
    ------
    RainException
        If there is no client: neither a session nor `connect` has one.

    Examples
    --------
    >>> session = magics.connect(local=1)
    >>> magics.status()  # doctest: +ELLIPSIS
    Server 127.0.0.1:...
    >>> magics.disconnect()
    """
    try:
        client = get_active_session().client
    except RainException:
        client = _opened
        if client is None or is_over(client):
            raise
    if client is None:
        raise RainException("the active session is detached: it has no client")
    try:
        display_hooks.show("client", client)
    except NotImplementedError:
        _print(governors_text(client.address, client.get_server_info()))
        if client.pools:
            from rain.notebook.places.asking import pools_now
            from rain.notebook.plain_forms import ANSWER_S, text_of_pools

            _print(text_of_pools(pools_now(client.pools, ANSWER_S)))


def inspect(item: Any, names: dict[str, Any] | None = None) -> None:
    """Show a data instance, a data object, or the only output of a task.

    Parameters
    ----------
    item : DataInstance, DataObject, Task or str
        A text is an expression of the notebook, or a name in the active session.
    names : dict, optional
        Variables for such expressions; the notebook's if not given.

    Raises
    ------
    RainException
        If `item` means no data, or a task with several outputs.

    Examples
    --------
    >>> session = magics.connect(local=1)
    >>> text = blob("a")
    >>> magics.inspect(text)  # outside of a notebook its text
    <DataObject 1/1 'const' text not submitted>
    >>> magics.disconnect()
    """
    found = look_up(item, names)
    if isinstance(found, Task):
        found = found.output
    show("instance" if isinstance(found, DataInstance) else "object", found)


def show(kind: str, item: Any) -> None:
    """Display `item`; its text where nothing else can be shown."""
    try:
        display_hooks.show(kind, item)
    except NotImplementedError:
        _print(repr(item))


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
