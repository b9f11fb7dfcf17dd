"""What a saved notebook shows in a widget's place: HTML that needs no kernel, no script and no network.

JupyterLab and Notebook show it in trusted and untrusted notebooks alike, nbconvert too. All text is escaped here;
pictures are images with their bytes in the address, so that nothing inside them can act.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Iterable, Sequence
from html import escape

from rain.common.state_styles import Look
from rain.notebook.inspectors.limits import STATIC_LINES
from rain.notebook.inspectors.sanitize import cut, visible
from rain.notebook.protocol.data import ImagePage, Page, PreviewPage, TablePage
from rain.notebook.protocol.lookups import Card
from rain.notebook.protocol.places import PlaceBox, PoolBox, Pools

ROWS_MAX, COLUMNS_MAX, CELL_CHARS_MAX = 10, 12, 60
FACT_CHARS_MAX, ERROR_CHARS_MAX = 200, 8000
PRINTED_MAX = 3
"""Places whose last lines are shown."""
IMAGE_BYTES_MAX = 48 * 1024
"""Larger images are described in words."""
_CAPTION = "font-size:85%;opacity:0.75"
_DARK = "calc(var(--jp-shadow-base-lightness,0)/36)"
"""0 where Jupyter's theme is light, or unknown; 0.9 where it is dark (JupyterLab 4 and Notebook 7 have 32 there)."""
_THEMED = f"max-width:100%;filter:invert({_DARK}) hue-rotate(calc({_DARK}*202.5deg))"
"""Of our own pictures: in a dark page light becomes dark, and colours keep their hue."""
_CELL = "padding:0.25em 0.6em"
"""Some pages have no room between cells (marimo's, by the style sheet that it resets all with)."""
_LEFT = f"text-align:left;{_CELL}"
"""Jupyter's tables are for numbers."""
_PLAIN = "white-space:pre-wrap;font-family:var(--jp-code-font-family,monospace);font-size:85%;margin:0"


def clock(at: float) -> str:
    """A moment as day and time, in the kernel's time zone.

    Parameters
    ----------
    at : float
        Seconds since the epoch.
    """
    then = time.localtime(at)
    return f"{then.tm_mday} {time.strftime('%b %Y, %H:%M', then)}"


def as_of(at: float) -> str:
    """The caption of something that may have gone on since."""
    return f"as of {clock(at)}"


def picture(svg: str, text: str, caption: str = "") -> str:
    """A figure with an SVG image.

    Parameters
    ----------
    svg : str
        A whole SVG document.
    text : str
        What it shows in words, for screen readers.
    caption : str
        A line below; may be empty.
    """
    data = base64.b64encode(svg.encode("utf-8", "replace")).decode("ascii")
    image = f'<img src="data:image/svg+xml;base64,{data}" alt="{escape(text)}" style="{_THEMED}">'
    return _figure(image, caption)


def card(info: Card, caption: str, places: Pools | None = None) -> str:
    """A client's card: where it is connected, its governors, places and sessions."""
    lines = [f"<strong>Rain</strong> {_text(info.state)} · {_text(info.address)}"]
    governors = info.governors
    if governors:
        head = ("governor", "cpus", "tasks", "objects")
        rows = ([one.id, f"{one.cpus:g}", str(one.tasks), str(one.objects)] for one in governors[:ROWS_MAX])
        lines.append(_grid(head, rows) + _more(len(governors)))
    lines += _pools(places) if places is not None else []
    sessions = info.sessions
    if sessions:
        rows = (
            [str(one.id), one.name, ", ".join(f"{n} {state}" for state, n in one.tasks.items() if n)]
            for one in sessions[:ROWS_MAX]
        )
        lines.append(_grid(("session", "name", "tasks"), rows) + _more(len(sessions)))
    return _figure("".join(f"<div>{line}</div>" for line in lines), caption)


def pools(places: Pools, caption: str) -> str:
    """Pools on engines, and what their places are doing."""
    lines = _pools(places) or ["no pools"]
    return _figure("".join(f"<div>{line}</div>" for line in lines), caption)


def _pools(places: Pools) -> list[str]:
    lines = [_pool(pool, places) for pool in places.pools]
    return [*lines, f"… and {places.more} more pools"] if places.more else lines


def _pool(pool: PoolBox, places: Pools) -> str:
    looks = places.looks
    counts = ", ".join(f"{count} {looks[state].word}" for state, count in pool.counts.items()) or "no places"
    closed = "; closed" if pool.closed else ""
    lines = [f"<strong>Places on {_text(pool.name)}</strong> {_text(counts)}{closed}"]
    lines += [_text(pool.rules)] if pool.rules else []
    lines += [f'<pre style="{_PLAIN}">{_text(pool.trouble)}</pre>'] if pool.trouble else []
    rows = [
        [str(box.number), _look(looks[box.state]), box.governor, _until(box.ends_at), box.words] for box in pool.boxes
    ]
    rows += [[f"{fold.count} more", _look(looks[fold.state]), "", "", fold.words] for fold in pool.folds]
    lines += [_grid(("place", "state", "governor", "until", ""), rows)] if rows else []
    lines += [_printed(box) for box in pool.boxes if box.printed or box.cause][:PRINTED_MAX]
    return "".join(f"<div>{line}</div>" for line in lines)


def _look(look: Look) -> str:
    return f"{look.mark} {look.word}"


def _printed(box: PlaceBox) -> str:
    head = f"Place {box.number}: {box.cause}" if box.cause else f"Place {box.number} printed:"
    return f'{_text(head)}<pre style="{_PLAIN}">{_text(box.printed)}</pre>'


def _until(at: float | None) -> str:
    """A moment that is known, as `clock`."""
    return "" if at is None else clock(at)


def facts(title: str, look: Look, facts: Iterable[tuple[str, str]], said: str) -> str:
    """What is known of a task or an object.

    Parameters
    ----------
    title : str
    look : Look
        Of its state.
    facts : iterable of (str, str)
    said : str
        What went wrong; may be empty.
    """
    rows = "".join(
        f'<tr><th style="{_LEFT}">{_text(name)}</th><td style="{_LEFT}">{_text(cut(text, FACT_CHARS_MAX))}</td></tr>'
        for name, text in facts
    )
    error = f'<pre style="{_PLAIN}">{_text(said[:ERROR_CHARS_MAX])}</pre>' if said else ""
    head = f"<div><strong>{_text(cut(title, FACT_CHARS_MAX))}</strong> {_text(look.mark)} {_text(look.word)}</div>"
    return _figure(f"{head}<table><tbody>{rows}</tbody></table>{error}", "")


def instance(title: str, page: Page | None, pieces: Sequence[bytes], text: str) -> str:
    """The first page of a data instance, as its inspector opens with it.

    Parameters
    ----------
    title : str
    page : Page or None
        None if there is nothing to be seen.
    pieces : sequence of bytes
        What came beside it.
    text : str
        The lines that are shown of what is neither a table nor an image.
    """
    inside = f'<pre style="{_PLAIN}">{_text(text)}</pre>'
    if isinstance(page, TablePage):
        inside = f"<div><strong>{_text(title)}</strong></div>{_table(page)}"
    elif isinstance(page, PreviewPage) and page.rows:
        facts = ", ".join([page.type, *(f"{name} {text}" for name, text in page.summary)])
        rows = [[label, *row[:COLUMNS_MAX]] for label, row in zip(page.index, page.rows, strict=True)]
        table = _grid(["", *(column.name for column in page.columns[:COLUMNS_MAX])], rows[:ROWS_MAX])
        inside = f'<div><strong>{_text(title)}</strong></div>{table}<div style="{_CAPTION}">{_text(facts)}</div>'
    elif (found := image_of(page, pieces)) is not None:
        source = f"data:{escape(found[0])};base64,{base64.b64encode(found[1]).decode('ascii')}"
        image = f'<img src="{source}" alt="{escape(visible(title))}" style="max-width:100%">'
        inside = f"<div><strong>{_text(title)}</strong></div>{image}"
    return _figure(inside, "")


def image_of(page: Page | None, pieces: Sequence[bytes]) -> tuple[str, bytes] | None:
    """The image that a page consists of, with its MIME type; None if it is none, or too large for a notebook."""
    if not isinstance(page, ImagePage | PreviewPage) or not pieces or len(pieces[0]) > IMAGE_BYTES_MAX:
        return None
    if isinstance(page, PreviewPage):
        return None if page.rows else ("image/png", pieces[0])
    return page.mime, pieces[0]


def _table(page: TablePage) -> str:
    names = [column.name for column in page.columns]
    shown = min(ROWS_MAX, STATIC_LINES)
    rows = [[label, *row[:COLUMNS_MAX]] for label, row in zip(page.index[:shown], page.rows[:shown], strict=False)]
    told = [f"{page.total} rows" if page.total is not None else "", f"{len(names)} columns"]
    return _grid(["", *names[:COLUMNS_MAX]], rows) + f'<div style="{_CAPTION}">{", ".join(filter(None, told))}</div>'


def _grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    first = "".join(f'<th style="{_CELL}">{_text(cut(name, CELL_CHARS_MAX))}</th>' for name in head)
    body = "".join(
        "<tr>" + "".join(f'<td style="{_CELL}">{_text(cut(value, CELL_CHARS_MAX))}</td>' for value in row) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{first}</tr></thead><tbody>{body}</tbody></table>"


def _more(count: int) -> str:
    return f"<div>… and {count - ROWS_MAX} more</div>" if count > ROWS_MAX else ""


def _figure(inside: str, caption: str) -> str:
    below = f'<figcaption style="{_CAPTION}">{_text(caption)}</figcaption>' if caption else ""
    return f'<figure style="margin:0">{inside}{below}</figure>'


def _text(text: str) -> str:
    return escape("\n".join(visible(line) for line in text.split("\n")))
