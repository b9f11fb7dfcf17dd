"""The text for Prometheus."""

from __future__ import annotations

import re

from rain.common.protocol.messages import GovernorBrief, ServerBrief, SessionSummary
from rain.server.metrics import Own, exposition

SAMPLE = re.compile(r'[a-z_]+(\{[a-z]+="(\\\\|\\"|\\n|[^"\\\n])*"(,[a-z]+="(\\\\|\\"|\\n|[^"\\\n])*")*\})? -?[\d.e+-]+')
"""A sample without a time, by https://prometheus.io/docs/instrumenting/exposition_formats/."""


def test_each_line_is_of_the_format_and_each_series_is_described_once() -> None:
    governor = GovernorBrief(
        'a"b\\c\nd:1', 2.0, {"cpus": 2.0}, 3, 4, {"own_cpus": 0.5, "spilled_bytes": 7.0, "new": 1.0}
    )
    sessions = [
        SessionSummary(1, "one", False, {"finished": 3, "not run": 1}),
        SessionSummary(2, "two", False, {"finished": 2}),
    ]
    text = exposition(ServerBrief(0, "0.1.0", "127.0.0.1:1", "", [governor], sessions), Own(1.25, 1 << 20, 1e9, None))
    described = re.findall(r"^# TYPE (\S+) (gauge|counter)$", text, re.MULTILINE)
    assert len(described) == len({name for name, _ in described})
    for line in text.splitlines():
        assert line.startswith("# ") or SAMPLE.fullmatch(line), line
    for line in (
        'rain_tasks{state="finished"} 5',
        'rain_tasks{state="not run"} 1',
        'rain_tasks{state="ready"} 0',
        "rain_sessions 2",
        'rain_governor_busy_cpus{governor="a\\"b\\\\c\\nd:1"} 0.5',
        "process_cpu_seconds_total 1.25",
    ):
        assert line in text.splitlines(), line
    assert all(name.endswith("_total") == (kind == "counter") for name, kind in described)
    assert "journal" not in text
    assert "rain_journal_bytes 5\n" in exposition(ServerBrief(0, "", "", "", [], []), Own(0.0, 0, 0.0, 5))
