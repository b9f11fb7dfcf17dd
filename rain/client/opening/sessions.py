"""The part of `Client` that opens sessions, and goes on with those of earlier clients."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from rain.client.core.session_mirror import SessionMirror
from rain.client.functions.modules import Surroundings
from rain.client.local_cluster import PRIVATE
from rain.client.operations import requests
from rain.client.operations.executors import Executors
from rain.client.operations.operation import Operation, block
from rain.client.operations.twins import awaitable, blocking
from rain.client.plain.session_part import check_seed
from rain.client.reuse.results import given_folder
from rain.client.session import Session
from rain.common.errors import RainException
from rain.common.protocol.messages import SessionSummary

if TYPE_CHECKING:
    from rain.client.local_cluster import LocalCluster
    from rain.client.operations.connection import Connection


class Sessions(Executors):
    """Sessions of one client."""

    _connection: Connection
    _cluster: LocalCluster | None

    @blocking
    def new_session(
        self,
        name: str = "Unnamed Session",
        default: bool = False,
        *,
        on_failure: str = "continue",
        persistent: bool = False,
        seed: int | None = None,
        echo: bool | None = None,
        cache: str | os.PathLike[str] | bool | None = None,
        cache_bytes_max: float | None = None,
        timeout: float | None = None,
    ) -> Operation[Session]:
        """A new session.

        Parameters
        ----------
        name : str
        default : bool
            Whether new items go there when no ``with`` block is open.
        on_failure : {"continue", "stop"}
            Whether a failed task leaves all else running, or stops the session.
        persistent : bool
            Whether the session lives on until it is closed, without its client.
        seed : int, optional
            Of what `rain.rng` gives to its tasks: with the same seed a script draws the same numbers whenever it runs.
            Other numbers each time if not given.
        echo : bool, optional
            Whether what its tasks print also appears here while they run. If not given, scripts show what the first
            `ECHO_UNASKED_TASKS_MAX` tasks print, and nothing else shows anything: see `Session.echo`.
        cache : str, os.PathLike or bool, optional
            A folder of this machine (True: one of the user's) from which functions and programs of the session take
            results of earlier runs, and in which they leave theirs, unless they have ``cache=False``.
        cache_bytes_max : float, optional
            How many bytes that folder may hold, `CACHE_BYTES_MAX` if not given: what was used longest ago goes.
        timeout : float, optional
            Seconds.

        Returns
        -------
        Session

        Raises
        ------
        RainException
            If the client is closed or lost, or an argument is not what it should be.

        Examples
        --------
        >>> with client.new_session("drawn", seed=42, echo=False) as session:
        ...     session.seed
        42
        """
        self._check()
        check_seed(seed)
        results = given_folder(cache, cache_bytes_max)
        if not (echo is None or isinstance(echo, bool)):
            raise RainException(f"echo is True, False or None, not {echo!r}")

        def made(mirror: SessionMirror, surroundings: Surroundings) -> Session:
            session = self._session(mirror, surroundings)
            session.seed = seed
            session._inside.results = results
            if echo is not None:
                session.echo = echo
            return session

        return requests.new_session(self._connection, made, name, default, on_failure, persistent)

    new_session_async = awaitable(new_session)

    @blocking
    def sessions(self, timeout: float | None = None) -> Operation[list[SessionSummary]]:
        """All sessions at the server, in short.

        Parameters
        ----------
        timeout : float, optional
            Seconds.

        Returns
        -------
        list of SessionSummary
            Each has `session_id`, `name`, `persistent`, and how many tasks it has.

        Raises
        ------
        RainException
            If the client is closed or lost.
        TimeoutError
            If the server has not answered within `timeout`.
        """
        self._check()
        return requests.session_list(self._connection)

    sessions_async = awaitable(sessions)

    @blocking
    def attach(self, session: int | str | None = None, timeout: float | None = None) -> Operation[Session]:
        """A session of an earlier client (or of this one) that is persistent or waits, with its tasks and objects.

        Parameters
        ----------
        session : int or str, optional
            Its number, or its name; the only one that waits for a client if not given.
        timeout : float, optional
            Seconds.

        Returns
        -------
        Session

        Raises
        ------
        RainException
            If there is none, or several have that name; the text lists their ids.
        TimeoutError
            If the server has not answered within `timeout`.
        """
        self._check()
        advice = "" if self._cluster is None else PRIVATE
        return requests.attach(self._connection, self._session, session, advice)

    attach_async = awaitable(attach)

    def _look(self, session: int | str, timeout: float | None = None) -> Session:
        """A persistent session of any client as it is now, to be read and never changed; for reports."""
        self._check()
        return block(requests.look(self._connection, self._session, session), timeout)

    def _session(self, mirror: SessionMirror, surroundings: Surroundings) -> Session:
        client: Any = self
        return Session._of(client, mirror, surroundings)

    def _check(self) -> None:
        self._connection.check()
