"""Texts that try to be a program, wherever texts come from: none of them acts, in the notebook or in what is saved.

Each payload, when it acts, sets ``window.rainCanary``, asks for an address that leaves this host, or opens a dialog.
"""

from __future__ import annotations

import base64
import itertools
import json
import math
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, Request

from tests.browser.lab import LOOK_MS, Lab, Notebook
from tests.browser.test_graph import PICTURE

VIEW = "[data-ready=true] .rain-session"
CANARY = "http://example.invalid/canary"

ACTS = [
    "window.rainCanary=1",
    "parent.rainCanary=top.rainCanary=1",
    f"fetch('{CANARY}')",
    "alert(1)",
]
PROGRAMS = [
    "<script>{}</script>",
    "</script><script>{}</script>",
    "<ScRiPt >{}</sCrIpT>",
    '"><script>{}</script>',
    "'><script>{}</script>",
    "]]><script>{}</script>",
    "--><script>{}</script><!--",
    "</title></style></textarea></text></svg><script>{}</script>",
    '<img src=x onerror="{}">',
    '"><img src=x onerror="{}">',
    "'-alert(1)-'<img/src=x/onerror={}>",
    '<svg onload="{}">',
    "<svg><script>{}</script></svg>",
    '</text></g><g onclick="{}" onload="{}"><text>',
    '<svg xmlns="http://www.w3.org/2000/svg" onload="{}"><animate onbegin="{}" attributeName="x" dur="1s"/></svg>',
    '<svg><foreignObject><img xmlns="http://www.w3.org/1999/xhtml" src="x" onerror="{}"/></foreignObject></svg>',
    '" onmouseover="{}" x="',
    "' onfocus='{}' autofocus tabindex=0 x='",
    '<details open ontoggle="{}">x</details>',
    '<input autofocus onfocus="{}">',
    '<video><source onerror="{}"></video>',
    '<body onload="{}">',
    '<iframe srcdoc="<script>{}</script>"></iframe>',
    '<a href="javascript:{}" autofocus>x</a>',
    "javascript:{}",
    "[x](javascript:{})",
    '![x](x "onerror={}")',
    "$(function() {{ {} }})",
    "&lt;script&gt;{}&lt;/script&gt;",
    "&#60;img src=x onerror=&#34;{}&#34;&#62;",
    "\\x3cscript\\x3e{}\\x3c/script\\x3e",
    "\\u003cimg src=x onerror={}\\u003e",
    "<\0script>{}</script>",
    "<scr\0ipt>{}</scr\0ipt>",
    "{{{{constructor.constructor('{}')()}}}}",
    "${{{}}}",
    "`${{{}}}`",
    '<math><maction actiontype="statusline" xlink:href="javascript:{}">x</maction></math>',
    '<object data="data:text/html,<script>{}</script>"></object>',
    '<embed src="data:text/html,<script>{}</script>">',
    "<noscript><p title=\"</noscript><img src=x onerror='{}'>\">",
    "\x1b]8;;javascript:{}\x07link\x1b]8;;\x07",
    "%3Cscript%3E{}%3C/script%3E",
    "\u202e<script>{}</script>",
    'x"]; evil [URL="javascript:{}" label=<<b>x</b>>]; y [label="',
    "<<b>{}</b>>",
]
TEXTS = [
    f'<img src="{CANARY}">',
    f'<link rel="stylesheet" href="{CANARY}">',
    f"<style>@import url('{CANARY}')</style>",
    f"<style>* {{ background: url('{CANARY}') }}</style>",
    f'<p style="background-image: url({CANARY})">x</p>',
    f'" style="background: url({CANARY})" x="',
    f"red; background: url({CANARY})",
    f'<meta http-equiv="refresh" content="0; url={CANARY}">',
    f'<base href="{CANARY}/">',
    f'<form action="{CANARY}"><button autofocus>x</button></form>',
    f'<svg><image href="{CANARY}" xlink:href="{CANARY}"/><use href="{CANARY}#x"/></svg>',
    f'<!DOCTYPE x [<!ENTITY e SYSTEM "{CANARY}">]><x>&e;</x>',
    f'<?xml-stylesheet href="{CANARY}"?>',
    f"![x]({CANARY})",
    f'<iframe src="{CANARY}"></iframe>',
    "{{7*7}}",
    "{% raw %}",
    "__proto__",
    "constructor",
    "<b>bold</b>\\n\\l\\r\\N\\G",
    "\\",
    '\\"',
    '"',
    "'",
    "}",
    "{ a | <f0> b }",
    "node [shape=none]; }",
    "a:b:c",
    "/* */ // #",
    "\u202egnp.exe\u202c",
    "\u2066\u2069\u200b\ufeff\u2028\u2029",
    "\x1b[31mred\x1b[0m\x1b[2J\x1b[H",
    "\x9b31m\x07\x08\x7f",
    "".join(map(chr, range(1, 32))),
    "\ufffe\uffff\ufdd0",
    "e" + "\u0301" * 300,
    "x" * 5000,
    "<" * 3000,
    "\u6f22" * 2000,
    "\U0001f4a3" * 500,
    "a\0b",
    "\ud800",
    "b\udcff",
    "..",
    "../../etc/passwd",
    " ",
    "\t\r\n",
    "$&$1$$",
    "%s%n%d",
    "NaN",
    "-1' OR '1'='1",
    "=cmd|' /C calc'!A0",
]
PAYLOADS = [program.replace("{}", act).replace("{{", "{").replace("}}", "}") for program in PROGRAMS for act in ACTS]
PAYLOADS += TEXTS

START = """
%load_ext rain.notebook
import csv, io, json, pickle, sys, traceback
from pathlib import Path
import cbor2, pandas
from rain import Client, Output, RainException, Session, Task, blob, directory, pickled, remote, tasks
payloads = json.loads(Path(source).read_text())
client = Client.local(cpus=2)
refused = []

def tried(make):
    "What is refused when it is made is refused in Rain's words."
    try:
        return make()
    except RainException as error:
        refused.append(str(error))

for payload in payloads[::12]:
    tried(lambda: client.new_session(payload))
session = client.new_session(payloads[0], default=True)

@remote(outputs=1)
def says(ctx, number):
    payload = json.loads(Path(source).read_text())[number]
    text = payload.encode("utf-8", "replace").decode()
    print(text)
    print(text, file=sys.stderr)
    ctx.debug("{}", text)
    ctx.info.user[text] = text
    if number % 3 == 0:
        raise ValueError(text)
    return text
"""

DECLARED = """
def task(number, payload, name):
    made = says(number, name=name, output=Output(payload), user_spec={"payload": payload, payload: payload})
    return made

for number, payload in enumerate(payloads):
    made = tried(lambda: task(number, payload, ("group/" if number % 5 == 0 else "") + payload))
    if made is None:
        task(number, payload.encode("utf-8", "replace").decode().replace("\\0", ""), "renamed")
for payload in payloads[::24]:
    tried(lambda: blob(payload.encode("utf-8", "replace"), payload))
session.keep_all()
session.submit()
failed = session.wait_all(raise_on_failure=False)
print(len(refused), "refused;", len(failed), "failed")
assert all(refused), refused
assert len(failed) > len(payloads) // 4
"""

GROUPED = """
grouped = tried(lambda: Session(None, 99))
with grouped.bind_only():
    for payload in payloads[::4]:
        for i in range(12):
            tried(lambda: tasks.Concat([blob(b"x", payload)], name=f"{payload.replace('/', '|')}/{payload}"))
grouped
"""

HOSTILE_DATA = """
clean = [payload.encode("utf-8", "replace").decode() for payload in payloads]
nested = {payload: [payload, {payload: payload}] for payload in clean}
sheet = io.StringIO()
writer = csv.writer(sheet)
writer.writerow(payload.replace("\\0", "") for payload in clean[:60])
for payload in clean:
    writer.writerow([payload.replace("\\0", "")] * 60)
folder = Path(base) / "hostile"
folder.mkdir()
for number, payload in enumerate(payloads):
    name = payload.replace("/", "|").replace("\\0", "0")
    name = name.encode("utf-8", "surrogateescape" if "\\udcff" in name else "replace")[:200]
    if name not in (b".", b"..", b""):
        Path(folder / name.decode("utf-8", "surrogateescape")).write_bytes(payload.encode("utf-8", "replace"))
page = "<html><body>" + "\\n".join(clean) + "</body></html>"
drawing = f'<svg xmlns="http://www.w3.org/2000/svg" onload="window.rainCanary=1"><script>{clean[0]}</script></svg>'
for name, text in (("page.html", page), ("drawing.svg", drawing)):
    (folder / name).write_bytes(text.encode())

class Named:
    def __reduce__(self):
        return getattr, (str, "upper"), {payload: payload for payload in clean}

with session.bind_only():
    objects = [
        blob("\\n".join(clean), clean[1]),
        blob(nested, clean[2], encode="json"),
        blob(cbor2.dumps(nested), clean[3], content_type="cbor"),
        blob(sheet.getvalue(), clean[4], content_type="mime/text/csv"),
        blob(pandas.DataFrame({payload: clean for payload in clean[:60]}), clean[5], encode="arrow"),
        pickled({payload: payload for payload in clean}, clean[6]),
        pickled(pandas.DataFrame({payload: clean for payload in clean[:60]}), clean[7]),
        blob(page, clean[8], content_type="mime/text/html"),
        blob(drawing, clean[9], content_type="mime/image/svg+xml"),
        blob(page.encode(), clean[10], content_type="mime/image/png"),
        blob(page, clean[11], content_type=f"user/{clean[12]}"),
        directory(folder, clean[12]),
    ]
    session.keep_all()
    session.submit()
    objects[0].wait()
for item in objects:
    display(item.fetch())
"""

TOLD = """
display(session)
display(client)
display(failed[0], failed[0].inputs, objects[1], failed[0].outputs[0])
%rain_tasks
%rain_status
print(refused[:5])
session.report(Path(base) / "report.html", packages=clean[:20])
"""

# Few enough for pictures with all their names.
PICTURES = """
parts = []
for first in range(0, len(payloads), 16):
    part = client.new_session(payloads[first])
    parts.append(part)
    with part.bind_only():
        for number in range(first, min(first + 16, len(payloads))):
            tried(lambda: task(number, payloads[number], payloads[number]))
    part.keep_all()
    display(part)
    part.submit()
    part.wait_all(raise_on_failure=False)
"""

CLOSED = """
for part in [*parts, session]:
    part.close()
client.close()
"""

RAISED = """
for one in failed[::9]:
    try:
        one.wait()
    except RainException:
        get_ipython().showtraceback()
"""

SHAPES = {"svg", "g", "title", "desc", "path", "rect", "ellipse", "circle", "line", "text", "tspan"}

# What may not be in anything that Rain shows.
FORBIDDEN = """(selector) => [...document.querySelectorAll(selector)].flatMap((root) =>
    [root, ...root.querySelectorAll('*')].flatMap((element) => [
        ...(element.matches('script, iframe, object, embed, foreignObject, link, base, meta, form, a[href], use')
            && !element.hasAttribute('download') ? [element.outerHTML.slice(0, 200)] : []),
        ...[...element.attributes].filter(({ name, value }) => /^on/i.test(name)
            || (/^(xlink:)?(href|src)$/i.test(name) && !/^(blob:|data:image\\/svg\\+xml)/.test(value))
            || (name === 'style' && /url/i.test(value)))
            .map(({ name, value }) => `${element.tagName} ${name}=${value.slice(0, 100)}`),
    ]))"""

OPEN = """(view) => [...view.querySelectorAll('.rain-toggle[data-open]')].map((toggle) => {
    toggle.dispatchEvent(new MouseEvent('click', { bubbles: true }));
    return toggle.dataset.open;
})"""
HOVER = """async ([view, selector]) => {
    const wrong = [];
    let number = 0;
    for (const node of document.querySelectorAll(`${view} ${selector}`)) {
        const at = { bubbles: true, pointerType: 'mouse', clientX: 500, clientY: 300 };
        node.dispatchEvent(new PointerEvent('pointerover', at));
        if (++number % 20 === 0) await new Promise(requestAnimationFrame);
        const tip = node.closest('.rain-session').querySelector('.rain-tooltip');
        if (tip.classList.contains('rain-hidden')) wrong.push(node.outerHTML);
    }
    return [number, wrong];
}"""

# Opens details of every so many nodes, with all their sections.
CLICK = """async ([view, selector, step]) => {
    const until = async (holds) => {
        for (let i = 0; i < 2000 && !holds(); i++) await new Promise((done) => setTimeout(done, 5));
        return holds();
    };
    const wrong = [];
    const nodes = [...document.querySelectorAll(`${view} ${selector}`)];
    for (let i = 0; i < nodes.length; i += step) {
        const body = nodes[i].closest('.rain-session').querySelector('.rain-details-body');
        const before = body.firstElementChild;
        nodes[i].dispatchEvent(new MouseEvent('click', { bubbles: true }));
        if (!await until(() => body.firstElementChild && body.firstElementChild !== before
            && body.textContent !== '\\u2026')) wrong.push(nodes[i].outerHTML);
        for (const section of body.querySelectorAll('details')) section.open = true;
        const output = body.querySelector('.rain-output');
        if (output && !await until(() => output.textContent !== '\\u2026')) wrong.push(`no output: ${i}`);
    }
    return [nodes.length, wrong];
}"""

# Turns to every view that an inspector offers, and opens what can be opened there.
LOOK_THROUGH = """async (inspector) => {
    const until = async (holds) => {
        for (let i = 0; i < 3000 && !holds(); i++) await new Promise((done) => setTimeout(done, 5));
        if (!holds()) throw new Error(`an inspector does not answer: ${inspector.textContent.slice(0, 300)}`);
    };
    const idle = () => until(() => !inspector.hasAttribute('aria-busy'));
    const turn = async (button) => { button.click(); await idle(); };
    const seen = [];
    const through = async () => {
        const names = [...inspector.querySelectorAll('.rain-switch[aria-label=View] button')].map((b) => b.textContent);
        for (const name of names.length ? names : ['']) {
            const button = [...inspector.querySelectorAll('.rain-switch[aria-label=View] button')]
                .find((b) => b.textContent === name);
            if (button) await turn(button);
            const body = inspector.querySelector('.rain-insp-body');
            seen.push(body.dataset.view);
            for (const line of [...body.querySelectorAll('.rain-tree-line')].slice(1, 12)) line.click();
            for (const rows of body.querySelectorAll('.rain-rows')) {
                rows.scrollTop = 600;
                rows.scrollLeft = 3000;
            }
            await new Promise(requestAnimationFrame);
            const value = body.querySelector('.rain-careful');
            if (value) {
                await turn(value);
                seen.push(inspector.querySelector('.rain-insp-body').dataset.view);
            }
        }
    };
    await until(() => inspector.querySelector('[data-view]'));
    await through();
    const files = inspector.querySelectorAll('.rain-files button:not(.rain-more)').length;
    for (let i = 0; i < files; i += i + 1 < files ? Math.min(12, files - 1 - i) : 1) {
        const file = inspector.querySelectorAll('.rain-files button:not(.rain-more)')[i];
        await turn(file);
        const error = inspector.querySelector('.rain-insp-error');
        if (!error.hidden) throw new Error(`${JSON.stringify(file.textContent)}: ${error.textContent}`);
        await through();
        await turn(inspector.querySelector('.rain-crumbs button'));
    }
    return seen;
}"""


class Acts:
    """Notes what a page does that texts told it to."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.dialogs: list[str] = []
        self.requests: list[str] = []
        page.on("dialog", self._opened)
        page.on("request", self._asked)

    def close(self) -> None:
        """The page has other things to do."""
        self.page.remove_listener("dialog", self._opened)
        self.page.remove_listener("request", self._asked)

    def _asked(self, request: Request) -> None:
        if "example.invalid" in request.url:
            self.requests.append(request.url)

    def _opened(self, dialog: Any) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def seen(self) -> list[str]:
        """All of it; empty if the texts stayed texts."""
        found = [frame.evaluate("() => String(window.rainCanary)") for frame in self.page.frames]
        return self.dialogs + self.requests + [word for word in found if word != "undefined"]


ACTING = ["<script>{}</script>", '<img src="data:," onerror="{}">', '<svg onload="{}">']


def test_what_acts_or_is_forbidden_is_noticed(lab: Lab) -> None:
    page = lab.browser.new_page()
    page.route("**/*", lambda route: route.abort())
    try:
        for program, act in itertools.product(ACTING, ACTS):
            check_it_is_noticed(page, program.replace("{}", act))
        page.set_content(
            '<div class="rain"><svg><a href="x"/><g onclick="1"/></svg><p style="background: url(x)">x</p></div>'
        )
        assert len(page.evaluate(FORBIDDEN, ".rain")) == 4
    finally:
        page.close()


def check_it_is_noticed(page: Page, program: str) -> None:
    page.goto("about:blank")  # another window: nothing of the one before is left
    acts = Acts(page)
    page.set_content("<p>nothing</p>")
    assert acts.seen() == []
    page.set_content(program)
    for _ in range(100):
        if acts.seen():
            break
        page.evaluate("() => new Promise(requestAnimationFrame)")
    assert acts.seen(), program
    acts.close()


def test_texts_stay_texts(lab: Lab, tmp_path: Path) -> None:
    assert len(set(PAYLOADS)) >= 200
    (tmp_path / "payloads.json").write_text(json.dumps(PAYLOADS))
    start = f"source, base = {str(tmp_path / 'payloads.json')!r}, {str(tmp_path)!r}\n" + START
    cells = [start, DECLARED, HOSTILE_DATA, TOLD, GROUPED, RAISED, PICTURES, CLOSED]
    with lab.open(cells) as notebook:
        page = notebook.page
        acts = Acts(page)
        for cell in range(5):
            notebook.run(cell)
            notebook.wait_done(cell)
        notebook.run(5)
        notebook.wait_text(5, "TaskException")
        check_terminal_text(notebook)
        page.wait_for_function("(view) => document.querySelectorAll(view).length === 2", arg=VIEW, polling=LOOK_MS)
        check_graphs(page)
        check_clean(page, acts)
        for inspector in page.locator(".jp-OutputArea .rain-inspector:not(.rain-details *)").element_handles():
            assert inspector.evaluate(LOOK_THROUGH)
        check_clean(page, acts)
        check_tabs(page)
        check_clean(page, acts)
        notebook.run(6)
        notebook.wait_done(6)
        views = 2 + math.ceil(len(PAYLOADS) / 16)
        page.wait_for_function(
            "([view, n]) => document.querySelectorAll(view).length === n", arg=[VIEW, views], polling=LOOK_MS
        )
        notebook.run(7)
        notebook.wait_done(7)
        pictures = check_frozen(notebook)
        check_clean(page, acts)
        notebook.open_again()
        page.wait_for_selector(".jp-RenderedHTMLCommon figure img")
        check_clean(page, acts)
        assert notebook.problems == []
        acts.close()
        check_exported(lab, notebook.path, pictures)
        check_report(lab, tmp_path / "report.html")


def check_clean(page: Page, acts: Acts) -> None:
    assert acts.seen() == []
    assert page.evaluate(FORBIDDEN, ".rain, .jp-Notebook figure") == []


def check_terminal_text(notebook: Notebook) -> None:
    texts = "".join("".join(output["text"]) for output in notebook.outputs(3) if output["output_type"] == "stream")
    assert "ValueError" in texts
    assert "refused;" in str(notebook.outputs(1))
    strange = [char for char in set(texts) if not char.isprintable() and char != "\n"]
    assert strange == []


def open_groups(view: Locator) -> None:
    """Open all groups, and those inside of them."""
    while keys := view.evaluate(OPEN):
        for key in keys:
            view.locator(f'[data-open="{key}"]').wait_for(state="detached")


def check_graphs(page: Page) -> None:
    for button in page.get_by_role("button", name="all objects").all():
        button.click()
    page.locator(f"{VIEW} .rain-arc-label").first.wait_for(state="attached")  # arcs to boxes say nothing otherwise
    open_groups(page.locator(VIEW).first)
    hovered, wrong = page.evaluate(HOVER, [VIEW, ".rain-node"])
    assert hovered > len(PAYLOADS)
    assert wrong == []
    for selector, step in ((".rain-task", 9), (".rain-object", 23), (".rain-group", 15)):
        clicked, wrong = page.evaluate(CLICK, [VIEW, selector, step])
        assert clicked
        assert wrong == []


def check_tabs(page: Page) -> None:
    session = page.locator(VIEW).first
    for tab, shown in (
        ("timeline", ".rain-timeline canvas"),
        ("table", ".rain-table .rain-item"),
        ("governors", ".rain-governors"),
        ("graph", ".rain-svg"),
    ):
        session.locator(".rain-tab", has_text=tab).click()
        session.locator(shown).first.wait_for()
        for rows in session.locator(".rain-rows").element_handles():
            rows.evaluate("(rows) => { rows.scrollTop = rows.scrollHeight; }")
    session.locator(".rain-search input").fill("script")
    session.locator(".rain-hit").first.wait_for()
    page.locator(".rain-card").first.scroll_into_view_if_needed()  # it asks while it is seen
    page.locator(".rain-card", has_text="script").first.wait_for()


def check_frozen(notebook: Notebook) -> list[str]:
    """The pictures that stay are only shapes and text; their sources."""
    notebook.page.wait_for_function(
        """(cells) => cells.every((cell) => {
            const saved = window.jupyterapp.shell.currentWidget.content.model.cells.get(cell).outputs.toJSON();
            const bundles = saved.map(({ data }) => data).filter((data) => data?.['application/pdf']);
            return bundles.length && bundles.every((data) => !data['application/vnd.rain.view+json']);
        })""",
        arg=[3, 6],
        polling=LOOK_MS,
    )
    bundles = [output.get("data", {}) for cell in (3, 6) for output in notebook.outputs(cell)]
    htmls = ["".join(data["text/html"]) for data in bundles if "application/pdf" in data]
    found = [base64.b64decode(svg).decode() for html in htmls for svg in PICTURE.findall(html)]
    assert len(found) == len(htmls) > 0
    elements = [element for svg in found for element in ElementTree.fromstring(svg).iter()]
    assert {element.tag.rpartition("}")[2] for element in elements} <= SHAPES
    names = {name for element in elements for name in element.attrib}
    assert not [name for name in names if name.startswith("on") or name.endswith(("href", "style"))]
    assert len(elements) > 6 * len(PAYLOADS)
    return found


def check_report(lab: Lab, path: Path) -> None:
    """The file of a report, with all that it can show."""
    page = lab.browser.new_page(viewport={"width": 1400, "height": 1000})
    acts = Acts(page)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    try:
        page.goto(path.as_uri())
        page.wait_for_selector("[data-ready=true]")
        for selector in (".rain-task", ".rain-group"):
            _, wrong = page.evaluate(HOVER, ["[data-ready=true]", selector])
            assert wrong == []
            _, wrong = page.evaluate(CLICK, ["[data-ready=true]", selector, 9])
            assert wrong == []
        for tab in page.get_by_role("tab").all():
            tab.click()
            page.locator("[role=tabpanel]:visible").first.wait_for()
        for inspector in page.locator(".rain-report-list .rain-inspector").element_handles():
            inspector.wait_for_selector("[data-view]", state="attached")
        page.get_by_role("tab", name="graph").click()
        page.locator(".rain-search input").fill("script")
        page.locator(".rain-hit").first.wait_for()
        page.get_by_role("slider").fill("500")
        assert page.locator(".rain-report-list section").count() > len(PAYLOADS) // 2
        assert acts.seen() == []
        assert page.evaluate(FORBIDDEN, ".rain, .still") == []
        assert said == []
    finally:
        page.close()


def check_exported(lab: Lab, path: Path, pictures: list[str]) -> None:
    """The notebook as nbconvert's page; and pictures as markup of a page, as some hosts of notebooks have them."""
    from nbconvert import HTMLExporter

    html, _ = HTMLExporter().from_filename(str(path))
    exported = path.with_suffix(".html")
    exported.write_text(html, "utf-8", "replace")
    page = lab.browser.new_page()
    acts = Acts(page)
    page.route("**/*", lambda route: route.continue_() if route.request.url.startswith("file:") else route.abort())
    try:
        page.goto(exported.as_uri())
        assert page.locator(".jp-RenderedHTMLCommon img").count() >= len(pictures)
        check_clean(page, acts)
        page.set_content(f'<div class="rain">{"".join(pictures)}</div>')
        assert page.locator("svg text").count() > 2 * len(PAYLOADS)
        check_clean(page, acts)
    finally:
        page.close()
