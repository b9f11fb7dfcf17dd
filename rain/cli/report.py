"""`rain report`: writes the report of a persistent session of a running server, also while its client uses it."""

from __future__ import annotations

from pathlib import Path

from rain.client.client import Client
from rain.common.errors import RainException, SessionException
from rain.deploy.start import known_server
from rain.processes import own_credentials

_WHICH = (
    "`rain sessions` lists those that are open. Of a closed session the server keeps nothing; of a session that is not "
    "persistent only its client knows all tasks: call session.report() there"
)


def report(session: str, address: str | None, token: str | None, path: str | None, packages: list[str]) -> str:
    """Write it; the client that has the session keeps it.

    Parameters
    ----------
    session : str
        Its number, or its name.
    address : str or None
        Address of the server; None: the only one of this user on this host.
    token : str or None
        Token of the server; None: that of its connection file.
    path : str or None
        The file; ``session-NUMBER.html`` if not given.
    packages : list of str

    Returns
    -------
    str
        The file's path.

    Raises
    ------
    RainException
        If there is no such session, or the file cannot be written.
    """
    if token is not None or own_credentials.take_token() is not None:
        client = Client(address or "localhost", token=token)
    else:
        file, server = known_server(address)
        client = Client(server.reachable(), connection_file=file)
    with client:
        try:
            found = client._look(int(session) if session.isdecimal() else session)
        except SessionException as error:
            raise RainException(f"{error}. {_WHICH}") from None
        return found.report(Path(path or f"session-{found.session_id}.html"), packages=packages)
