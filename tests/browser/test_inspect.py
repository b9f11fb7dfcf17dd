"""Inspectors in JupyterLab: one for each kind of data, paged, opened, downloaded, and from the graph."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tests.browser.expecting import expect
from tests.browser.lab import LOOK_MS, Lab, Notebook

START = """
%load_ext rain.notebook
import json, pickle, struct, zlib
import cbor2, numpy, pandas
from rain import Client, blob, directory, pickled, remote
client = Client.local(cpus=2)
session = client.new_session("looked at", default=True)

def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

def png(width, height, red, green, blue):
    rows = (b"\\0" + bytes((red, green, blue)) * width) * height
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\\x89PNG\\r\\n\\x1a\\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")

class Writes:
    "Loading it writes a file."
    def __reduce__(self):
        return exec, (f"open({mark!r}, 'w').close()",)

@remote()
def huge(ctx):
    with open("huge", "wb") as file:
        file.write(b"begin")
        file.truncate(200_000_000)  # more rows than fit into the tallest element; test_large.py has 10 GB
        file.seek(-3, 2)
        file.write(b"end")
    return ctx.stage_file("huge")

@remote(auto_encode="pickle")
def figure(ctx):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4, 3))
    figure.subplots().plot([3, 1, 2])
    figure.axes[0].set_title("<img src=x onerror=alert(1)>")
    return figure

@remote()
def noted(ctx, data):
    ctx.info.user["checked by"] = "the second task"
    return "noted"
"""

DATA = """
lines = "".join(f"line {i}: caf\\u00e9\\n" for i in range(40_000))
tree = {"name": "caf\\u00e9", "list": list(range(1000)), "deep": {"deeper": {"deepest": [True, None, 1.5]}}}
table = pandas.DataFrame({"number": range(5000), "square": [i * i for i in range(5000)],
                          "word": [f"word {i}" for i in range(5000)]})
made = {
    "text": blob(lines, "text"),
    "latin": blob("na\\u00efve caf\\u00e9".encode("latin-1"), "latin", content_type="text-latin-1"),
    "json": blob(tree, "json", encode="json"),
    "cbor": blob(cbor2.dumps({"bytes": b"\\0\\1", "nested": [1, {"two": 2}]}), "cbor", content_type="cbor"),
    "csv": blob("name,size\\n" + "".join(f"n{i},{i}\\n" for i in range(3000)), "csv", content_type="mime/text/csv"),
    "arrow": blob(table, "arrow", encode="arrow"),
    "wide": blob(pandas.DataFrame({f"c{at}": range(at, at + 500) for at in range(400)}), "wide", encode="arrow"),
    "array": pickled(numpy.arange(600.0).reshape(200, 3), "array"),
    "frame": pickled(table, "frame"),
    "picture": blob(png(24, 16, 200, 30, 30), "picture", content_type="mime/image/png"),
    "raw": blob(bytes(range(256)) * 4096, "raw"),
    "folder": directory(folder, "folder"),
    "writes": blob(pickle.dumps(Writes()), "writes", content_type="pickle"),
}
made["huge"] = huge().output
made["figure"] = figure().output
made["noted"] = noted(made["json"]).output
session.keep_all()
session.submit()
session.wait_all()
"""

SHOWN = [
    "text", "latin", "json", "cbor", "csv", "arrow", "wide", "array", "frame", "picture", "raw", "folder", "writes",
    "huge", "figure",
]  # fmt: skip


def inspector(notebook: Notebook, cell: int) -> Any:
    """What a cell shows, once its first page is there."""
    found = notebook.page.locator(".jp-CodeCell").nth(cell).locator(".rain-inspector")
    expect(found.locator("[data-view]")).to_be_visible()
    return found


def shows(found: Any, view: str) -> Any:
    """The inspector's page, which is of that view."""
    page = found.locator(f".rain-insp-body[data-view={view}]")
    expect(page).to_be_visible()
    return page


def check_text(found: Any) -> None:
    page = shows(found, "text")
    text = page.locator(".rain-text")
    expect(text).to_contain_text("line 0: café")
    expect(text).not_to_contain_text("line 39999")
    found.get_by_role("button", name=re.compile("Next")).click()
    expect(text).not_to_contain_text("line 0: café")
    second = text.inner_text().splitlines()[1]
    found.get_by_role("button", name=re.compile("Previous")).click()
    expect(text).to_contain_text("line 0: café")
    assert int(second.split()[1].rstrip(":")) > 1000
    page.get_by_label(re.compile("offset")).fill("99.99%")
    page.get_by_label(re.compile("offset")).press("Enter")
    expect(text).to_contain_text("line 39999: café")
    page.get_by_label("Encoding").select_option("latin-1")
    expect(text).to_contain_text("line 39999: cafÃ©")


def check_latin(found: Any) -> None:
    page = shows(found, "text")
    expect(page).to_contain_text("naïve café")
    page.get_by_label("Encoding").select_option("ascii")
    expect(page.locator(".rain-text")).not_to_contain_text("café")


def check_json(found: Any) -> None:
    tree = shows(found, "tree").get_by_role("tree")
    line = tree.locator(".rain-tree-line")
    expect(line.filter(has_text="name")).to_contain_text("café")
    line.filter(has_text="deep").first.click()
    expect(tree).to_contain_text("deepest")  # an only child is opened with its parent
    line.filter(has_text="list").click()
    more = tree.locator(".rain-tree-more")
    expect(more).to_contain_text("more")
    shown = line.count()
    more.click()
    expect(line.nth(shown)).to_be_attached()
    found.get_by_role("button", name="text", exact=True).click()
    expect(shows(found, "text")).to_contain_text('"deepest"')
    found.get_by_role("button", name="hex", exact=True).click()
    expect(shows(found, "hex")).to_contain_text("00000000")


def check_cbor(found: Any) -> None:
    tree = shows(found, "tree").get_by_role("tree")
    expect(tree).to_contain_text("bytes")
    tree.locator(".rain-tree-line").filter(has_text="nested").click()
    tree.locator(".rain-tree-line").filter(has_text=re.compile(r"^[^\w]*1")).last.click()
    expect(tree).to_contain_text("two")


def check_table(found: Any, columns: list[str], last: str, rows: int) -> None:
    """All rows can be scrolled to, and few of them are elements."""
    grid = found.get_by_role("table")
    for name in columns:
        expect(grid.get_by_role("columnheader").filter(has_text=name).first).to_be_visible()
    grid.page.wait_for_function(  # a table that is read piece by piece grows whenever its end is seen
        """([grid, count]) => {
            grid.scrollTop = grid.scrollHeight;
            return grid.getAttribute('aria-rowcount') === count;
        }""",
        arg=[grid.element_handle(), str(rows + 1)],
        polling=LOOK_MS,
    )
    grid.evaluate("(grid) => { grid.scrollTop = grid.scrollHeight; }")
    expect(grid).to_contain_text(last)
    assert grid.get_by_role("row").count() < 100


def check_columns(found: Any) -> None:
    """All columns can be scrolled to, in any row; few of them are elements, and few are asked for."""
    page = shows(found, "table")
    grid, head = page.get_by_role("table"), page.get_by_role("columnheader")
    expect(page).to_contain_text(re.compile("500 rows . 400 columns"))
    expect(grid).to_have_attribute("aria-colcount", "401")
    grid.evaluate("(grid) => { grid.scrollTop = grid.scrollHeight; }")
    expect(page.get_by_role("rowheader", name="499", exact=True)).to_be_visible()
    before = head.nth(2).bounding_box()
    grid.evaluate("(grid) => { grid.scrollLeft = grid.scrollWidth; }")
    last = page.get_by_role("columnheader", name="c399")
    wait_cells(grid, 401, ["c399", "898"])
    assert head.count() < 40
    assert page.get_by_role("cell").count() < 40 * 40
    # In the middle, where nothing was seen so far; what comes does not move what is in sight.
    grid.evaluate("(grid) => { grid.scrollLeft = grid.scrollWidth / 2; }")
    expect(page.get_by_role("columnheader", name=re.compile("^c2[01][0-9]")).first).to_be_visible()
    expect(page.locator(".rain-data .rain-awaited")).to_have_count(0)
    assert head.nth(2).bounding_box()["width"] > 40
    grid.evaluate("(grid) => { grid.scrollLeft = 0; }")
    expect(head.nth(1)).to_contain_text("c0")
    assert head.nth(2).bounding_box() == before
    # Sorted by a column far to the right, which stays in sight.
    grid.evaluate("(grid) => { grid.scrollLeft = grid.scrollWidth; grid.scrollTop = 0; }")
    last.get_by_role("button").click()
    expect(last).to_have_attribute("aria-sort", "ascending")
    last.get_by_role("button").click()
    expect(last).to_have_attribute("aria-sort", "descending")
    wait_cells(grid, 401, ["c399", "898"])


def wait_cells(grid: Any, column: int, texts: list[str]) -> None:
    """Wait until these are in sight in a column, below each other."""
    grid.page.wait_for_function(
        """([grid, column, texts]) => {
            const box = grid.getBoundingClientRect();
            const cells = [...grid.querySelectorAll(`[aria-colindex="${column}"]`)];
            const saying = (text) => cells.find((cell) => cell.textContent.startsWith(text));
            const found = texts.map((text) => saying(text)?.getBoundingClientRect());
            return found.every((one) => one && one.left >= box.left && one.right <= box.right + 1 && one.top >= box.top
                && one.bottom <= box.bottom + 1 && Math.abs(one.left - found[0].left) < 1);
        }""",
        arg=[grid.element_handle(), str(column), texts],
        polling=LOOK_MS,
    )


def check_previews(array: Any, frame: Any, figure: Any) -> None:
    """A result opens with its value, which no process but an executor has loaded."""
    page = shows(array, "preview")
    expect(page).to_contain_text("numpy.ndarray")
    expect(page).to_contain_text("200 x 3")
    expect(page.get_by_role("img", name="Histogram from 0 to 599")).to_be_visible()
    expect(page.get_by_role("cell", name="29", exact=True)).to_be_visible()
    page = shows(frame, "preview")
    expect(page).to_contain_text("5,000 rows x 3 columns")
    expect(page.get_by_role("cell", name="word 9", exact=True)).to_be_visible()
    page = shows(figure, "preview")
    expect(page).to_contain_text("<img src=x onerror=alert(1)>")
    picture = page.get_by_role("img", name="out0")
    expect(picture).to_be_visible()
    assert picture.evaluate("(image) => image.naturalWidth") == 320
    array.get_by_role("button", name="pickle", exact=True).click()
    frame.get_by_role("button", name="pickle", exact=True).click()


def check_pickled_array(found: Any) -> None:
    page = shows(found, "pickle")
    expect(page).to_contain_text("numpy")
    expect(page).to_contain_text("200")
    expect(page).to_contain_text("opcodes")
    expect(page).to_contain_text("Nothing was unpickled")
    found.get_by_role("button", name=re.compile("Unpickle")).click()
    value = shows(found, "value")
    expect(value).to_contain_text("ndarray")
    check_table(value, [], "599", 200)


def check_picture(found: Any) -> None:
    image = shows(found, "image").locator("img")
    expect(image).to_be_visible()
    expect(found).to_contain_text(re.compile(r"24 \W 16 px"))  # what the browser decoded


def check_bytes(found: Any) -> None:
    rows = shows(found, "hex").get_by_role("table")
    expect(rows).to_contain_text("00000000")
    jump = found.get_by_label(re.compile("offset"))
    jump.fill("0xffff0")
    jump.press("Enter")
    expect(rows).to_contain_text("000ffff0")
    expect(rows).to_contain_text(re.compile("fd *fe *ff"))
    assert rows.get_by_role("row").count() < 100


def check_folder(found: Any) -> None:
    page = shows(found, "directory")
    expect(page).to_contain_text("empty/")
    page.get_by_role("button", name="empty/").click()
    expect(page).to_contain_text("(empty)")
    page.get_by_label("Filter by name").fill("TABLE")
    expect(page).to_contain_text("1 of ")
    expect(page).not_to_contain_text("inner/")
    page.get_by_label("Filter by name").fill("")
    page.get_by_role("button", name="drawing.svg").click()
    drawing = shows(found, "image").get_by_role("img")
    expect(drawing).to_be_visible()
    assert drawing.evaluate("(image) => image.naturalWidth") == 30
    found.locator(".rain-crumbs").get_by_role("button", name="folder", exact=True).click()
    page = shows(found, "directory")
    page.get_by_role("button", name="inner/").click()
    page.get_by_role("button", name="deeper/").click()
    page.get_by_role("button", name="note.txt").click()
    expect(shows(found, "text")).to_contain_text("a note at the bottom")
    crumbs = found.locator(".rain-crumbs")
    expect(crumbs).to_contain_text("note.txt")
    crumbs.get_by_role("button", name="inner").click()
    expect(shows(found, "directory")).to_contain_text("deeper/")
    expect(shows(found, "directory")).not_to_contain_text("empty/")
    crumbs.get_by_role("button", name="folder", exact=True).click()
    page = shows(found, "directory")
    page.get_by_role("button", name="table.csv").click()
    expect(shows(found, "table")).to_contain_text("cell")
    crumbs.get_by_role("button", name="To the folder that this is in").click()
    expect(shows(found, "directory")).to_contain_text("empty/")


def check_loading_runs_code_on_a_click_only(found: Any, mark: Path) -> None:
    page = shows(found, "pickle")
    expect(page).to_contain_text("exec")
    found.get_by_role("button", name="hex", exact=True).click()
    shows(found, "hex")
    found.get_by_role("button", name="pickle", exact=True).click()
    shows(found, "pickle")
    assert not mark.exists()
    found.get_by_role("button", name=re.compile("^Preview")).click()  # bytes that no task encoded
    expect(shows(found, "preview")).to_contain_text("NoneType")
    assert mark.exists()
    mark.unlink()
    found.get_by_role("button", name="pickle", exact=True).click()
    found.get_by_role("button", name=re.compile("Unpickle")).click()
    expect(shows(found, "value")).to_contain_text("NoneType")
    assert mark.exists()


def check_huge(found: Any) -> None:
    expect(found).to_contain_text("200,000,000 bytes")
    rows = shows(found, "hex").get_by_role("table")
    expect(rows).to_contain_text("begin")
    jump = found.get_by_label(re.compile("offset"))
    jump.fill("100%")
    jump.press("Enter")
    expect(rows).to_contain_text("end")


def check_download(found: Any, tmp_path: Path, data: bytes) -> None:
    with found.page.expect_download() as coming:
        found.get_by_role("button", name="Download").click()
    coming.value.save_as(tmp_path / "saved")
    assert (tmp_path / "saved").read_bytes() == data


def a_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    (folder / "inner" / "deeper").mkdir(parents=True)
    (folder / "empty").mkdir()
    (folder / "inner" / "deeper" / "note.txt").write_text("a note at the bottom")
    (folder / "drawing.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" width="30" height="20"><circle r="9"/></svg>'
    )
    (folder / "table.csv").write_text("head,other\ncell,1\ncell,2\n")
    return folder


def test_every_kind_of_data(lab: Lab, tmp_path: Path) -> None:
    mark = tmp_path / "unpickled"
    variables = f"mark = {str(mark)!r}\nfolder = {str(a_folder(tmp_path))!r}"
    # Half of them by the magic, half as the last expression of a cell.
    cells = [f"%rain_inspect made[{name!r}]" if i % 2 else f"made[{name!r}].fetch()" for i, name in enumerate(SHOWN)]
    with lab.open([START + variables, DATA, *cells, "session"]) as notebook:
        notebook.run_all()
        notebook.wait_done(*range(len(cells) + 3))
        found = {name: inspector(notebook, i + 2) for i, name in enumerate(SHOWN)}
        assert not mark.exists()
        check_text(found["text"])
        check_latin(found["latin"])
        check_json(found["json"])
        check_cbor(found["cbor"])
        shows(found["csv"], "table")
        name = found["csv"].locator("dt", has_text="delimiter").bounding_box()
        assert name["height"] < 25 < name["width"]  # in one line, whatever the page does with lists
        check_table(found["csv"], ["name", "size"], "n2999", 3000)
        shows(found["arrow"], "table")
        check_table(found["arrow"], ["number", "square", "word"], "word 4999", 5000)
        check_columns(found["wide"])
        check_previews(found["array"], found["frame"], found["figure"])
        check_pickled_array(found["array"])
        found["frame"].get_by_role("button", name=re.compile("Unpickle")).click()
        check_table(shows(found["frame"], "value"), ["number", "square", "word"], "word 4999", 5000)
        check_picture(found["picture"])
        check_bytes(found["raw"])
        check_folder(found["folder"])
        check_loading_runs_code_on_a_click_only(found["writes"], mark)
        check_huge(found["huge"])
        check_download(found["raw"], tmp_path, bytes(range(256)) * 4096)
        check_object_of_the_graph(notebook)
        assert notebook.problems == []


def check_object_of_the_graph(notebook: Notebook) -> None:
    session = notebook.page.locator("[data-ready=true] .rain-session")
    session.locator(".rain-node", has_text="json").click()
    details = session.locator(".rain-details")
    expect(shows(details, "tree")).to_contain_text("café")
    close = details.get_by_title(re.compile("^close"))
    close.click()  # the panel may lie above the next node
    session.locator(".rain-node.rain-task", has_text="noted").click()
    expect(details).to_contain_text("the second task")
    close.click()
    session.locator(".rain-node", has_text="folder").click()
    shows(details, "directory").get_by_role("button", name="table.csv").click()
    expect(shows(details, "table")).to_contain_text("cell")
