"""Why a process that was started elsewhere ended before it was ready: one sentence, from the last lines that it wrote.

Shells, Python, ssh and batch systems describe a failure in their own words. Users need to know which of a few causes it
was, and what to do about it.
"""

from __future__ import annotations

import re

_CAUSES: tuple[tuple[str, str], ...] = (
    (
        r"timed out during banner exchange|ssh: connect to host \S+ port \d+: Connection timed out",
        "the host does not answer ssh in time (connect_timeout, HOST_CONNECT_S): it is down, or a firewall drops what "
        "comes",
    ),
    (
        r"ssh: connect to host (\S+) port \d+: (No route to host|Network is unreachable)",
        "there is no way from here to the host {0} ({1})",
    ),
    (r"ssh: connect to host (\S+) port (\d+): Connection refused", "no ssh server listens on {0} at port {1}"),
    (
        r"ssh: Could not resolve hostname (\S+):",
        "there is no host {0} that the resolver here or ssh's configuration knows",
    ),
    (
        r"(?s)Identity file (\S+) not accessible.*Permission denied \(",
        "ssh was refused: there is no key {0}",
    ),
    (
        r"No module named '?rain\b|rain: (?:command )?not found|can't open file '[^']*rain|rain'?: No such file",
        "Rain is not installed in the Python that runs there, or its environment was not activated (python= of a pool, "
        "--remote-init of rain start)",
    ),
    (
        r"(?:^|[\s:'])(\S*python[\w.]*)'?: (?:No such file or directory|(?:command )?not found)",
        "there is no Python {0} there (python=)",
    ),
    (r"No module named '?([\w.]+)", "the Python there lacks the module {0}"),
    (
        r"runs? Python (\d+\.\d+).{0,40}Python (\d+\.\d+)",
        "the Python there has another version than the server's ({0} and {1}): use the same minor version everywhere",
    ),
    (r"version \d+ of Rain's protocol", "another version of Rain is installed there than on the server's host"),
    (
        r"has another key|is not a Rain token|a key for the role \w+ is needed|belongs to another server",
        "its token is not this server's, or not one for governors (`rain status --token --role governor` prints one)",
    ),
    (
        r"token file (\S+) cannot be read: No such file",
        "the token file {0} is not there: is that folder shared with this host?",
    ),
    (
        r"token file \S+ is empty since",
        "the server that was to be started for it did not come up, or the client that asked for this place was killed",
    ),
    (r"token file (\S+) (?:cannot|can be) ", "the token file {0} has the wrong mode or owner"),
    (
        r"does not answer within HANDSHAKE_S|[Tt]imed out|No route to host|Network is unreachable|cannot be reached",
        "the server cannot be reached from there: a firewall, or an address of an interface that leads elsewhere",
    ),
    (
        r"nothing listens at (\S+?):? ",
        "nothing listens at {0} as seen from there: the server is gone, or listens on loopback only (--listen 0.0.0.0)",
    ),
    (
        r"[Tt]he host of (\S+) is not known|Name or service not known|Could not resolve hostname",
        "a host name is not known there: give the server's address in numbers",
    ),
    (
        r"Permission denied \(|Host key verification failed",
        "ssh was refused: is there a key of yours for that host, and is the host known here?",
    ),
    (r"Connection refused", "no ssh server runs there"),
    (r"No space left on device|Disk quota exceeded", "there is no room on the disk there"),
    (r"[Oo]ut of memory|oom[-_ ]kill|OOM Killed|exceeded memory limit", "it was ended because memory ran out there"),
    (r"DUE TO TIME LIMIT|TIMEOUT", "its batch job was at its time limit"),
    (r"DUE TO PREEMPTION|CANCELLED", "its batch job was cancelled"),
    (
        r"(?:exec: \d+: )?(/\S+): (?:not found|No such file or directory)",
        "{0} is not there: is its folder shared with this host?",
    ),
    (r"Exec format error", "the program there was built for another kind of machine"),
    (r"Permission denied", "a file or folder there may not be used by you"),
)


def cause_of(lines: str) -> str:
    """The cause that a process's last lines point to, as one sentence without a full stop; empty if none is recognized.

    Parameters
    ----------
    lines : str
        The last lines of the process's output, standard error included.

    Examples
    --------
    >>> cause_of("/usr/bin/python3: No module named numpy")
    'the Python there lacks the module numpy'
    >>> cause_of("all is well")
    ''
    """
    for pattern, sentence in _CAUSES:
        found = re.search(pattern, lines)
        if found is not None:
            return sentence.format(*found.groups())
    return ""
