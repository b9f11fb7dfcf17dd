"""A real JupyterLab (or Notebook) in a real browser, for tests.

`Lab` is one server and one Chromium; `Lab.open` opens a notebook of given cells with a kernel of its own. To load
JupyterLab costs some seconds of a cpu, so one notebook after another uses a page, while each leaves it as it was; and
pages have a profile in common, which keeps JupyterLab's code compiled.
Outputs are read from Lab's model, the widgets from the page.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import nbformat
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, ViewportSize, expect, sync_playwright

from tests.support.waiting import GUARD_S

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = [
    "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]  # fmt: skip
WAIT_MS = int(GUARD_S * 1000)
LOOK_MS = 50
"""Between looks of a page at what is waited for; Playwright's own way is to look in each frame, and so to have frames
drawn for nothing else."""
expect.set_options(timeout=WAIT_MS)
_PICTURE = re.compile(rb"data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)")
SIZE: ViewportSize = {"width": 1400, "height": 1000}
_CLOSE = "() => { for (const widget of [...window.jupyterapp.shell.widgets('main')]) widget.dispose(); }"
KERNEL = "window.jupyterapp.shell.currentWidget.context.sessionContext.session.kernel"

_START = f"""
import sys
sys.path.append({str(ROOT)!r})
import tools.light_imports
from {{module}} import main
sys.path.pop()
main()
"""

_SETTINGS = {
    "@jupyterlab/apputils-extension/notification.jupyterlab-settings": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/apputils-extension/themes.jupyterlab-settings": {"theme": "JupyterLab Light"},
}
_CHROMIUM = {"performance_tuning": {"battery_saver_mode": {"state": 3}}}
"""Always save energy: half as many frames in a second."""
# Said by Lab or Chromium itself, whatever a page shows.
_NOISE = re.compile(
    r"favicon|ResizeObserver|/lab/api/|/api/(me|terminals|workspaces)|preload|third-party cookie|"
    r"restore the debugger state"
)
_UNKNOWN_COMM = "Comm not found"
"""Said by Lab of what a kernel sends to a widget of a page that was loaded again and has not asked for it yet."""


@dataclass(frozen=True)
class Program:
    """What serves notebooks.

    Attributes
    ----------
    module : str
        Has its `main`.
    options : tuple of str
    place : str
        Of a notebook, after the server's address.
    python : str
        The interpreter of the environment that it is installed in.
    environment : dict of str to str
        Further variables.
    """

    module: str
    options: tuple[str, ...]
    place: str
    python: str = sys.executable
    environment: dict[str, str] = field(default_factory=dict)


LAB = Program(
    "jupyterlab.labapp",
    ("--LabApp.extension_manager=readonly", "--LabApp.expose_app_in_browser=True"),
    "lab/tree/{}?reset",
)
NOTEBOOK = Program("notebook.app", ("--JupyterNotebookApp.expose_app_in_browser=True",), "notebooks/{}?reset")


class Lab:
    """A server of notebooks and a browser.

    Parameters
    ----------
    folder : Path
        Where notebooks and settings go.
    program : Program
    """

    def __init__(self, folder: Path, program: Program = LAB) -> None:
        self.folder = folder
        self.program = program
        self.token = uuid.uuid4().hex
        self._page: Page | None = None  # left by a notebook, for the next one
        settings = folder / "config" / "lab" / "user-settings"
        for name, values in _SETTINGS.items():
            path = settings / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(values))
        pages = folder / "config" / "labconfig" / "page_config.json"
        pages.parent.mkdir()
        pages.write_text(json.dumps({"buildCheck": False}))  # else each page has node look for what could be built
        (folder / "notebooks").mkdir()
        environment = {
            **os.environ,
            "JUPYTER_CONFIG_DIR": str(folder / "config"),
            "JUPYTER_DATA_DIR": str(folder / "data"),
            "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
            "JUPYTERLAB_SETTINGS_DIR": str(settings),
            "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
            "IPYTHONDIR": str(folder / "ipython"),
            **program.environment,
        }
        with ExitStack() as stack:  # what has been started ends also if the next step fails
            log = stack.enter_context((folder / "lab.log").open("w"))
            self._server = subprocess.Popen(
                [
                    program.python, "-c", _START.format(module=program.module), "--no-browser", "--allow-root",
                    "--ServerApp.port=0", "--ServerApp.ip=127.0.0.1", f"--IdentityProvider.token={self.token}",
                    "--ServerApp.port_retries=0", f"--ServerApp.root_dir={folder / 'notebooks'}", *program.options,
                ],
                env=environment, stdout=log, stderr=log,
            )  # fmt: skip
            stack.callback(self._end_server)
            playwright = sync_playwright().start()
            stack.callback(playwright.stop)
            (folder / "profile").mkdir()
            (folder / "profile" / "Local State").write_text(json.dumps(_CHROMIUM))
            self._profile = playwright.chromium.launch_persistent_context(
                folder / "profile", executable_path=CHROMIUM, args=ARGUMENTS, viewport=SIZE
            )
            stack.callback(self._profile.close)
            browser = self._profile.browser
            assert browser is not None
            self.browser: Browser = browser
            self.url = self._address()
            self._started = stack.pop_all()

    def _address(self) -> str:
        """Where the server listens, from its runtime file, once it answers."""
        deadline = time.monotonic() + GUARD_S
        while time.monotonic() < deadline:
            if self._server.poll() is not None:
                break
            for path in (self.folder / "runtime").glob("jpserver-*.json"):
                try:
                    found = json.loads(path.read_text())
                    with urllib.request.urlopen(f"{found['url']}api?token={self.token}", timeout=5):
                        return str(found["url"])
                except (OSError, ValueError):
                    pass
            time.sleep(0.05)  # another process writes the file
        raise AssertionError(f"JupyterLab did not start:\n{(self.folder / 'lab.log').read_text()[-3000:]}")

    def address_of(self, name: str) -> str:
        """Of the page with the notebook in the file `name`, for browsers that do not know the token yet."""
        return f"{self.url}{self.program.place.format(name)}&token={self.token}"

    def add_kernel(self, name: str, packages: Path | None = None, python: str = sys.executable) -> None:
        """A kernel named `name` of the environment of `python` that finds `packages` before what is installed."""
        folder = self.folder / "data" / "kernels" / name
        folder.mkdir(parents=True)
        spec = {
            "argv": [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            "display_name": name,
            "language": "python",
        }
        if packages is not None:
            paths = filter(None, [str(packages), os.environ.get("PYTHONPATH")])
            spec["env"] = {"PYTHONPATH": os.pathsep.join(paths)}
        (folder / "kernel.json").write_text(json.dumps(spec))

    def need_kernel(self, name: str) -> None:
        """Skip the test if the environment has no ``kernels/name`` (`tools/prepare.sh` makes them)."""
        packages = Path(sys.prefix) / "kernels" / name
        if name == "python3" or (self.folder / "data" / "kernels" / name).exists():
            return
        if not packages.is_dir():
            pytest.skip(f"needs {packages} (sh tools/prepare.sh test)")
        self.add_kernel(name, packages)

    @contextmanager
    def open(
        self, cells: Sequence[str], *, kernel: str = "python3", dark: bool = False, new_page: bool = False
    ) -> Iterator[Notebook]:
        """A new notebook with these cells, its kernel running; in a `new_page` that no other had or will have."""
        name = f"{uuid.uuid4().hex[:8]}.ipynb"
        path = self.folder / "notebooks" / name
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        notebook.metadata["kernelspec"] = {"name": kernel, "display_name": kernel}
        nbformat.write(notebook, path)
        page = None if new_page else self._free_page()
        scheme: Literal["dark", "light"] = "dark" if dark else "light"
        used = page is not None
        page = page or self.new_page()
        page.bring_to_front()  # a page behind another one is drawn three times in a second
        page.emulate_media(color_scheme=scheme)
        opened = Notebook(self, page, path)
        try:
            opened.start(used)
            yield opened
        except BaseException:
            opened.close()
            raise
        if new_page or not opened.hand_back():
            opened.close()
        else:
            self._page = page

    def new_page(self) -> Page:
        """A page of the profile that notebooks are opened in."""
        page = self._profile.new_page()
        page.set_default_timeout(WAIT_MS)
        return page

    def _free_page(self) -> Page | None:
        """A page with JupyterLab and no notebook."""
        page, self._page = self._page, None
        return page

    def close(self) -> None:
        """End browser and server."""
        self._started.close()

    @property
    def ended(self) -> bool:
        """Whether its server has ended by itself."""
        return self._server.poll() is not None

    def _end_server(self) -> None:
        self._server.terminate()
        try:
            self._server.wait(15)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()


class Notebook:
    """A notebook in a page.

    Attributes
    ----------
    page : Page
    problems : list of str
        What the console said that it should not have, and requests that would have left this host.
    largest_frame : int
        The longest message, in bytes or characters, that came over a web socket; may be set to 0.
    """

    def __init__(self, lab: Lab, page: Page, path: Path) -> None:
        self.lab = lab
        self.page = page
        self.path = path
        self.problems: list[str] = []
        self.largest_frame = 0
        self._reloaded = False
        self._picture = b""  # the last message with one for the page to keep
        page.set_default_timeout(WAIT_MS)
        self._listeners: dict[Any, Callable[..., None]] = {
            "console": self._said,
            "pageerror": lambda error: self.problems.append(f"page error: {error.stack or error}"),
            "request": self._asked,
            "websocket": lambda socket: socket.on("framereceived", self._received),
        }
        for event, listener in self._listeners.items():
            page.on(event, listener)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            text = f"{message.text} ({message.location.get('url', '')})"
            if not _NOISE.search(text) and not (self._reloaded and _UNKNOWN_COMM in text):
                self.problems.append(text)

    def _received(self, frame: str | bytes) -> None:
        self.largest_frame = max(self.largest_frame, len(frame))
        data = frame.encode() if isinstance(frame, str) else frame
        if b'"reply"' in data and (found := _PICTURE.search(data)):
            self._picture = base64.b64decode(found[1])

    def _asked(self, request: Request) -> None:
        """Note what would leave this host; Chromium finds no other (to stop a request here would cost its cache)."""
        if not request.url.startswith((self.lab.url, "data:", "blob:")):
            self.problems.append(f"a request left: {request.url}")

    def start(self, used: bool = False) -> None:
        """Open it (in a page that was `used` before JupyterLab is there), and wait for its kernel."""
        if used:
            self.command("docmanager:open", {"path": self.path.name})
        else:
            self.page.goto(self.lab.address_of(self.path.name))
        self._wait_for_kernel()

    @contextmanager
    def page_away(self) -> Iterator[None]:
        """Save it, and leave it while this lasts; then load the page again, and wait for the kernel to be found."""
        self.save()
        self._reloaded = True
        self.page.goto("about:blank")
        yield
        self.page.goto(self.lab.address_of(self.path.name))
        self._wait_for_kernel()

    def reload(self, *, busy: bool = False) -> None:
        """Save it, load the page again, and wait for the kernel to be found; if it is `busy`, not for its answer."""
        self.save()
        self._reloaded = True
        self.page.goto(self.lab.address_of(self.path.name))
        self._wait_for_kernel(answer=not busy)

    def open_again(self) -> None:
        """Save it, close it, and open in the same page what was saved."""
        self.save()
        self._reloaded = True  # the kernel may still speak to widgets of what is closed
        self.page.evaluate(_CLOSE)
        self.start(used=True)

    def _wait_for_kernel(self, answer: bool = True) -> None:
        self.page.wait_for_function(
            "(path) => window.jupyterapp?.shell.currentWidget?.context?.path === path",
            arg=self.path.name,
            polling=LOOK_MS,
        )
        self.page.evaluate(
            """async (answer) => {
                const { context } = window.jupyterapp.shell.currentWidget;
                await context.ready;
                await context.sessionContext.ready;
                if (answer) await context.sessionContext.session.kernel.info;
            }""",
            answer,
        )

    def command(self, name: str, arguments: dict[str, Any] | None = None) -> None:
        """Run one of Lab's commands, without waiting for its end."""
        self.page.evaluate(
            "([name, args]) => { void window.jupyterapp.commands.execute(name, args ?? {}); }", [name, arguments]
        )

    def run_all(self) -> None:
        """Start running all cells."""
        self.command("notebook:run-all-cells")

    def run(self, index: int) -> None:
        """Start running one cell."""
        self.page.evaluate(
            """(index) => {
                const { content } = window.jupyterapp.shell.currentWidget;
                content.deselectAll();
                content.activeCellIndex = index;
                void window.jupyterapp.commands.execute('notebook:run-cell');
            }""",
            index,
        )

    def wait_done(self, *indices: int, failed: bool = False) -> None:
        """Wait until these cells have run and the kernel is idle; without an error unless they may have `failed`."""
        self.page.wait_for_function(
            """(indices) => {
                const { content, context } = window.jupyterapp.shell.currentWidget;
                return context.sessionContext.session?.kernel?.status === 'idle' && indices.every((index) => {
                    const cell = content.model.cells.get(index);
                    return cell.executionCount !== null && cell.executionState !== 'running';
                });
            }""",
            arg=list(indices),
            polling=LOOK_MS,
        )
        for index in indices:
            for output in self.outputs(index):
                assert failed or output["output_type"] != "error", "\n".join(output["traceback"])

    def wait_text(self, index: int, text: str) -> None:
        """Wait until `text` is among the streams that a cell has written."""
        self.page.wait_for_function(
            """([index, text]) => JSON.stringify(
                window.jupyterapp.shell.currentWidget.content.model.cells.get(index).outputs.toJSON()).includes(text)""",
            arg=[index, text],
            polling=LOOK_MS,
        )

    def wait_picture(self, text: str) -> None:
        """Wait until the page has a picture with `text` in it, to be left when the kernel goes."""
        deadline = time.monotonic() + WAIT_MS / 1000
        while text.encode() not in self._picture:
            assert time.monotonic() < deadline, f"no picture with {text!r} came"
            self.page.wait_for_timeout(20)  # lets frames arrive

    def outputs(self, index: int) -> list[dict[str, Any]]:
        """The outputs of a cell as they would be saved."""
        found: list[dict[str, Any]] = self.page.evaluate(
            "(index) => window.jupyterapp.shell.currentWidget.content.model.cells.get(index).outputs.toJSON()", index
        )
        return found

    def save(self) -> Any:
        """Save the notebook; what was saved."""
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.context.save()")
        return nbformat.read(self.path, 4)

    def restart_kernel(self) -> None:
        """Restart the kernel in the orderly way, and wait for it."""
        self.page.evaluate(f"async () => {{ await {KERNEL}.restart(); }}")

    def interrupt(self) -> None:
        """The stop button."""
        self.page.evaluate(f"async () => {{ await {KERNEL}.interrupt(); }}")

    def close(self) -> None:
        """Shut the kernel down and close the page."""
        try:
            self._shut_down()
        finally:
            self.page.close()

    def hand_back(self) -> bool:
        """Shut the kernel down and take the notebook out of the page; whether that is as it was, for another one."""
        self._shut_down()
        for event, listener in self._listeners.items():
            self.page.remove_listener(event, listener)
        self.page.set_viewport_size(SIZE)
        self.page.evaluate(_CLOSE)
        clean: bool = self.page.evaluate(
            """() => {
                const light = document.body.dataset.jpThemeLight === 'true';
                return light && !document.querySelector('.jp-Dialog, [class*="rain-"]');
            }"""
        )
        return clean

    def _shut_down(self) -> None:
        self.page.evaluate(
            "async () => { await window.jupyterapp?.shell.currentWidget?.context?.sessionContext.shutdown(); }"
        )
