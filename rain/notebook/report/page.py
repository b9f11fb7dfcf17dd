"""The file of a report: one HTML page whose policy lets nothing in but what is in it; pure.

What a browser without scripts shows (and any printer) is a picture, the failures and the versions. With scripts the
components of the notebook take its place, fed from the data in the file.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
from collections.abc import Callable, Iterable
from html import escape
from typing import Any

from rain.common.errors import RainException
from rain.common.formatting import duration_text
from rain.common.state_styles import LOOKS
from rain.notebook.drawing import svg
from rain.notebook.inspectors.sanitize import visible
from rain.notebook.protocol.details import TaskDetails
from rain.notebook.protocol.report import Report
from rain.notebook.stills import clock

MARK = "<!doctype html>\n<!-- a report of Rain -->\n"
"""How the file of a report begins: nothing else is ever replaced by one."""
FAILURES_MAX = 50
STYLE = """\
:root { color-scheme: light dark; --ink: #1f2328; --quiet: #59636e; --ground: #fff; --line: #d0d7de; --bad: #c62828; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --quiet: #9aa4af; --ground: #0d1117; --line: #3d444d; --bad: #ef9a9a; } }
body { margin: 0 auto; padding: 16px 24px 48px; max-width: 1500px; color: var(--ink); background: var(--ground);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 22px; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 17px; margin: 28px 0 8px; }
p { margin: 4px 0 12px; }
.quiet { color: var(--quiet); }
svg { max-width: 100%; height: auto; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: 12.5px; line-height: 1.45;
  border-left: 3px solid var(--line); padding: 2px 0 2px 12px; margin: 4px 0 16px; }
table { border-collapse: collapse; }
th, td { text-align: left; padding: 2px 18px 2px 0; vertical-align: top; font-weight: normal; }
th { color: var(--quiet); }
.bad { color: var(--bad); font-weight: 600; }
@media screen { .shown .still { display: none; } }
@media print { .live { display: none; } }
"""
_POLICY = (
    "default-src 'none'; script-src {script}; style-src {style}; img-src data: blob:; "
    "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
_MARKUP = re.compile(r"</script|<!--|<script", re.IGNORECASE)


def page(report: Report, data: bytes, script: str, hide: Callable[[Any], Any]) -> str:
    """The text of the file.

    Parameters
    ----------
    report : Report
        What the page says without scripts.
    data : bytes
        The same as JSON, for the script.
    script : str
        The program that shows it.
    hide : callable
        Takes secrets out of a text, or out of all texts of a structure: before they are cut short or escaped.

    Raises
    ------
    RainException
        If the script cannot stand in a page.
    """
    if _MARKUP.search(script):
        raise RainException("the program of reports has markup in it, so that it cannot stand in a page")
    packed = base64.b64encode(gzip.compress(data, 6, mtime=0)).decode("ascii")
    policy = _POLICY.format(script=_digest(script), style=_digest(STYLE))
    name = hide(report.session.name) or f"session {report.session.id}"
    title = _text(f"{name} · a report of Rain")
    body = "\n".join(_body(report, name, hide))
    return (
        f'{MARK}<html lang="en" data-rain="report"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style></head>\n<body>\n{body}\n"
        '<div class="live" id="rain-report"></div>\n'
        f'<script type="application/octet-stream" id="rain-data">{packed}</script>\n'
        f'<script type="module">{script}</script>\n</body></html>\n'
    )


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"


def _body(report: Report, name: str, hide: Callable[[Any], Any]) -> Iterable[str]:
    scene, session = report.scenes[0], hide(report.session)
    line = svg.text_line(session, report.summary)
    took = "" if report.summary.elapsed is None else f" · took {duration_text(report.summary.elapsed)}"
    yield f"<header><h1>{_text(name)}</h1>"
    yield f'<p class="quiet">A report of Rain, made {_text(clock(report.made))}{_text(took)}</p></header>'
    yield '<main class="still">'
    status = {key: hide(one) for key, one in report.status.items()}
    picture = svg.picture(hide(scene.topology), status, report.summary, session, scene.geometry)
    yield f'<p class="quiet">{_text(line)}</p>{picture}'
    yield '<p class="quiet">Timeline, table, outputs and results need a browser that runs scripts.</p>'
    yield from _failures(report, hide)
    yield '<h2 id="versions">Versions</h2><table>'
    for one in report.versions:
        yield f'<tr><th scope="row">{_text(one.name)}</th><td>{_text(one.version)}</td></tr>'
    for governor in report.governors.governors:
        yield f'<tr><th scope="row">governor</th><td>{_text(governor.id)}, {governor.cpus:g} cpus</td></tr>'
    yield "</table>"
    for note in report.notes:
        yield f'<p class="quiet">{_text(hide(note))}</p>'
    yield "</main>"


def _failures(report: Report, hide: Callable[[Any], Any]) -> Iterable[str]:
    failed = [
        one for one in report.details.values() if isinstance(one, TaskDetails) and one.error and one.cause is None
    ]
    if not failed:
        return
    yield "<h2>What failed</h2>"
    for one in failed[:FAILURES_MAX]:
        word = LOOKS[one.state].word if one.state in LOOKS else one.state
        yield f'<p><span class="bad">{_text(word)}</span> {_text(hide(one.title))}</p>'
        yield f"<pre>{_text(hide(one.error or ''))}</pre>"
    if len(failed) > FAILURES_MAX:
        yield f"<p>… and {len(failed) - FAILURES_MAX} more.</p>"


def _text(text: str) -> str:
    return escape("\n".join(visible(line) for line in text.split("\n")))
