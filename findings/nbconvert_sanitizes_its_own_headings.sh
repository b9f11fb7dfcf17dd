#!/usr/bin/env bash
# nbconvert's --sanitize-html shows tags of headings and images as text, also those that it made of Markdown itself.
#
# Versions: nbconvert 7.17.2, nbformat 5.11.1, bleach 6.4.0, Python 3.11.
# Guess: sanitising takes scripts and handlers out of a notebook; headings of Markdown cells, images and heads of tables stay.
# What happens: tags that are not in bleach's short list are escaped, not dropped, and <h1>, <img>, <thead>, <figure> are not in it:
#        the page has "<h1 id=…>Title</h1>" to be read as text, and an <img> with a data URI as a long line of base64.
# Seen:
#     sanitized: False: heading shown, table shown, image shown, head of table shown
#     sanitized: True: heading as text, table shown, image as text, head of table as text
# For users: outputs that are to be read in sanitised pages are image/png without HTML beside it (HTML is preferred), or HTML of few tags.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install 'nbconvert==7.17.2' 'nbformat==5.11.1' 'bleach==6.4.0'
"$folder/venv/bin/python" - >"$folder/seen" 2>/dev/null <<'PY'
import nbformat.v4 as v4
from nbconvert import HTMLExporter

HTML = (
    '<figure><img src="data:image/png;base64,AAAA" alt="x"></figure>'
    "<table><thead><tr><th>a</th></tr></thead><tbody><tr><td>1</td></tr></tbody></table>"
)
output = v4.new_output("display_data", {"text/html": HTML, "text/plain": "x"})
notebook = v4.new_notebook(cells=[v4.new_markdown_cell("# Title"), v4.new_code_cell("x", outputs=[output])])
for sanitized in (False, True):
    page, _ = HTMLExporter(sanitize_html=sanitized).from_notebook_node(notebook)
    page = page[page.index("<main") :]
    told = [
        f"{what} {'as text' if f'&lt;{tag}' in page else 'shown' if f'<{tag}' in page else 'dropped'}"
        for what, tag in (("heading", "h1"), ("table", "table"), ("image", "img"), ("head of table", "thead"))
    ]
    print(f"sanitized: {sanitized}: {', '.join(told)}")
PY
cat "$folder/seen"
diff "$folder/seen" - <<'SEEN'
sanitized: False: heading shown, table shown, image shown, head of table shown
sanitized: True: heading as text, table shown, image as text, head of table as text
SEEN
