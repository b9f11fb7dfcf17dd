"""What the last lines of a process that ended elsewhere mean."""

from __future__ import annotations

import pytest

from rain.processes.elsewhere.causes import cause_of


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("/usr/bin/python3: No module named rain", "not installed"),
        ("sh: 1: rain: not found", "not installed"),
        ("bash: line 1: rain: command not found", "not installed"),
        ("ModuleNotFoundError: No module named 'msgspec'", "lacks the module msgspec"),
        ("rain governor: the governor runs Python 3.12, the server Python 3.11: functions", "(3.12 and 3.11)"),
        ("rain governor: the server runs Python 3.11 and this governor runs Python 3.12: functions", "another version"),
        ("rain governor: version 3 of Rain's protocol is spoken there, version 4 here", "another version of Rain"),
        ("rain governor: what listens at 1.2.3.4:7210 has another key", "token"),
        ("rain governor: a key for the role governor is needed", "token"),
        ("rain governor: the token file /home/me/t cannot be read: No such file or directory", "shared"),
        ("rain governor: 10.0.0.1:7210 does not answer within HANDSHAKE_S (5 s): it is unreachable", "firewall"),
        ("rain governor: 10.0.0.1:7210 cannot be reached: No route to host", "firewall"),
        ("rain governor: nothing listens at 10.0.0.1:7210: is the server running", "nothing listens at 10.0.0.1:7210"),
        ("rain governor: the host of login1:7210 is not known: Name or service not known", "in numbers"),
        ("ssh: connect to host n7 port 22: Connection refused", "no ssh server listens on n7 at port 22"),
        ("ssh: connect to host n7 port 22: Connection timed out", "HOST_CONNECT_S"),
        ("Connection timed out during banner exchange\nConnection to 10.0.0.7 port 22 timed out", "HOST_CONNECT_S"),
        ("ssh: connect to host n7 port 22: No route to host", "no way from here to the host n7"),
        ("ssh: Could not resolve hostname n7: Name or service not known", "no host n7"),
        (
            "Warning: Identity file /k not accessible: No such file or directory.\nn7: Permission denied (publickey).",
            "there is no key /k",
        ),
        ("bash: line 1: /opt/python3: No such file or directory", "there is no Python /opt/python3"),
        ("sh: 1: exec: /opt/bin/python3.11: not found", "there is no Python /opt/bin/python3.11"),
        ("me@n7: Permission denied (publickey,password).", "ssh was refused"),
        ("Host key verification failed.", "ssh was refused"),
        ("OSError: [Errno 28] No space left on device", "no room"),
        ("slurmstepd: error: Detected 1 oom-kill event(s) in StepId=3.0", "memory"),
        ("slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-11-27T18:00:00 DUE TO TIME LIMIT ***", "time limit"),
        ("slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-11-27T18:00:00 DUE TO PREEMPTION ***", "cancelled"),
    ],
)
def test_known_ends(lines: str, words: str) -> None:
    assert words in cause_of(f"something before\n{lines}\n")


def test_what_is_not_known_is_not_guessed() -> None:
    assert cause_of("Segmentation fault (core dumped)") == ""
    assert cause_of("") == ""
