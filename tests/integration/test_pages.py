"""The examples of the pages for beginners run, and print what the pages say."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import rain
from tests import snippets

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
ALONE = DOCS / "start.md"
PAGES = [
    ALONE,
    DOCS / "interfaces.md",
    *sorted(path for folder in ("howto", "migration") for path in (DOCS / folder).glob("*.md")),
]
SAID = re.compile(r"^ *print\(.*\) +# (.*)$", re.MULTILINE)


@pytest.fixture(scope="module")
def client() -> Iterator[rain.Client]:
    with rain.Client.local(cpus=2) as client:
        yield client


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_examples_run(page: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = snippets.blocks(page, "python")
    namespace: dict[str, object] = {"__name__": "__main__"}
    with contextlib.ExitStack() as stack:
        if page != ALONE and blocks:
            client = request.getfixturevalue("client")
            session = stack.enter_context(client.new_session(page.stem, default=True))
            namespace |= {"client": client, "session": session, "rain": rain}
        for line, source in blocks:
            expected = SAID.findall(source)
            raises = "# raises rain.TaskCancelled" in source
            with pytest.raises(rain.TaskCancelled) if raises else contextlib.nullcontext():
                snippets.run(page, line, source, namespace)
            printed = capsys.readouterr().out
            for said in expected:
                assert said in printed, (page.name, line, printed)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_pages_say_where_the_client_and_the_session_of_their_examples_come_from(page: Path) -> None:
    """A reader may come to any page by the search, and tries its first example."""
    code = "".join(source for _, source in snippets.blocks(page, "python"))
    text = page.read_text()
    for name, made in (("client", "client = rain.Client.local("), ("session", 'session = client.new_session("')):
        if re.search(rf"\b{name}\.", code):
            assert made in text, name


def test_each_public_name_is_in_the_reference() -> None:
    pages = "\n".join(page.read_text() for page in (DOCS / "reference").glob("*.md"))
    listed = set(re.findall(r":: rain\.(\w+)$", pages, re.MULTILINE))
    assert listed >= {name for name in rain.__all__ if not name.startswith("_")}, "docs/reference lacks a public name"


def test_the_site_holds_every_page() -> None:
    """Each page of docs/ is in a table of contents, so that it can be found."""
    listed = set()
    for page in DOCS.rglob("*.md"):
        for block in re.findall(r"```\{toctree\}\n(.*?)```", page.read_text(), re.DOTALL):
            for entry in block.splitlines():
                if entry and not entry.startswith(":"):
                    listed.add((page.parent / f"{entry}.md").resolve())
    pages = {page.resolve() for page in DOCS.rglob("*.md")} - {DOCS / "index.md"}
    assert not pages - listed
