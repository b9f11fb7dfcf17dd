"""The credentials of a process: keys from a token, a connection file, or the environment."""

from __future__ import annotations

import os
import stat
import time

from rain.common.errors import RainException
from rain.common.limits import TOKEN_COMES_S
from rain.common.protocol.address import is_loopback
from rain.net.auth import Credentials
from rain.processes.connection_files import find, read

_TOKEN_BYTES_MAX = 1000
_token: str | None = None


def server_credentials(host: str, path: str | os.PathLike[str] | None = None) -> Credentials:
    """The keys of a server that is about to listen at `host`, and a certificate if that is beyond loopback.

    They are taken over from the connection file at `path` where there is one: a guardian that starts a server again
    names the file, so that the server's peers come back.
    """
    credentials = read(path).credentials if path and os.path.lexists(path) else Credentials.generate()
    if host != "fd" and not is_loopback(host):
        credentials.certify()
    return credentials


def take_token() -> str | None:
    """The value of ``RAIN_TOKEN``, which is taken out of the environment when first asked for."""
    global _token
    value = os.environ.pop("RAIN_TOKEN", None)
    if value:
        _token = value
    return _token


def token_in(path: str | os.PathLike[str]) -> str:
    """The token in a file.

    Raises
    ------
    RainException
        If the file cannot be read; or if it is this user's and others can read it.
    """
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            found = os.fstat(file.fileno())
            # A file that a cluster mounts (a Kubernetes Secret) belongs to root, and the cluster sets its mode.
            if found.st_uid == os.geteuid() and stat.S_ISREG(found.st_mode) and found.st_mode & 0o077:
                raise RainException(
                    f"the token file {path} can be read by other users, who could then run code as you: "
                    f"chmod 600 {path}"
                )
            return file.read(_TOKEN_BYTES_MAX)
    except OSError as error:
        raise RainException(f"the token file {path} cannot be read: {error.strerror}") from None


def token_to_come(path: str | os.PathLike[str]) -> str:
    """The token in a file that is empty as long as the server that the token is for is starting.

    Raises
    ------
    RainException
        As `token_in`; or if the file is still empty after `TOKEN_COMES_S`.
    """
    deadline = time.monotonic() + TOKEN_COMES_S
    pause_s = 0.01
    while not (token := token_in(path)):
        if time.monotonic() > deadline:
            raise RainException(
                f"the token file {path} is empty since {TOKEN_COMES_S:g} s (TOKEN_COMES_S): the server that was to be "
                "started for this governor is not up, or what started it has died"
            )
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, 0.2)
    return token


def credentials_for(
    address: str, role: str, *, token: str | None = None, connection_file: str | os.PathLike[str] | None = None
) -> Credentials:
    """The credentials for a server.

    Parameters
    ----------
    address : str
        ``host:port`` of the server.
    role : str
        A key of `rain.net.auth.ROLES`.
    token : str or None
    connection_file : path-like or None

    Returns
    -------
    Credentials
        The first that exist of: `token`, `connection_file`, ``RAIN_TOKEN``, the connection file that the server wrote
        for this user.

    Raises
    ------
    RainException
        If there is none, or it holds no key of `role`.
    """
    if token is not None:
        found = Credentials.from_token(token)
    elif connection_file is not None:
        found = read(connection_file).credentials
    elif text := take_token():
        found = Credentials.from_token(text)
    else:
        found = find(address).credentials
    found.key(role)
    return found
