#!/usr/bin/env bash
# nbconvert's LaTeX asks Inkscape for an output's SVG although a PNG of it is in the same output.
#
# Versions: nbconvert 7.17.2, nbformat 5.11.1, Python 3.11; no Inkscape on the PATH.
# Guess: of an output that holds image/png and image/svg+xml LaTeX takes the PNG, which needs no other program; Inkscape is
#        only for outputs that hold an SVG alone.
# What happens: a preprocessor converts each SVG that has no PDF beside it before one of the types is chosen, so that the
#        export fails. Without the SVG, or with a PDF beside it, it passes.
# Seen:
#     png: passes
#     png and svg: fails, Inkscape is not found
#     png, svg and pdf: passes
# For users: give a PDF beside an SVG, or no SVG, in outputs that are to be exported to LaTeX.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install 'nbconvert==7.17.2' 'nbformat==5.11.1'
PATH="$folder/venv/bin:/usr/bin:/bin" "$folder/venv/bin/python" - >"$folder/seen" 2>/dev/null <<'PY'
import base64
import shutil

import nbformat.v4 as v4
from nbconvert import LatexExporter

assert shutil.which("inkscape") is None, "this is about machines without Inkscape"
PNG = base64.b64encode(
    bytes.fromhex(
        "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
        "0000000c49444154789c63f8ffff3f0005fe02fe0def46b80000000049454e44ae426082"
    )
).decode()
TYPES = {
    "png": ("image/png", PNG),
    "svg": ("image/svg+xml", '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'),
    "pdf": ("application/pdf", base64.b64encode(b"%PDF-1.4\n%%EOF\n").decode()),
}
for names in (["png"], ["png", "svg"], ["png", "svg", "pdf"]):
    output = v4.new_output("display_data", dict(TYPES[name] for name in names))
    notebook = v4.new_notebook(cells=[v4.new_code_cell("x", outputs=[output])])
    told = f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
    try:
        LatexExporter().from_notebook_node(notebook)
        print(f"{told}: passes")
    except FileNotFoundError as error:
        assert "nkscape" in str(error), error
        print(f"{told}: fails, Inkscape is not found")
PY
cat "$folder/seen"
diff "$folder/seen" - <<'SEEN'
png: passes
png and svg: fails, Inkscape is not found
png, svg and pdf: passes
SEEN
