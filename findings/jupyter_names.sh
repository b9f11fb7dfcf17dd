#!/bin/bash
# jupyter_client 8.10.0 (with the standard library's json of Python 3.11): names of files that are not UTF-8
#
# A program lists a folder, sends the names to a front end in a message of a Jupyter kernel, and gets one back to open it.
# One name has a byte that is not UTF-8, which Python gives as a lone surrogate (os.fsdecode, "surrogateescape").
#
# What one would guess: as everywhere in Python's json, the name travels as an escape ("caf\udce9") and comes back as it
# was; or the message is refused.
# What happens: json_packer writes the raw byte into the message, which so is no UTF-8 (nor JSON) any more, and
# json_unpacker reads it with errors="replace": the name comes back with U+FFFD, without an error or a warning, and no such
# file exists. A surrogate that does not stand for a byte ("\ud800") is refused with UnicodeEncodeError.
#
# Output seen:
#   json.dumps:       b'{"name": "caf\\udce9"}' -> 'caf\udce9', same: True
#   jupyter_client:   b'{"name": "caf\xe9"}' -> 'caf\ufffd', same: False, exists: False
#   other surrogate:  UnicodeEncodeError
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q jupyter_client==8.10.0
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import json
import os
import sys

from jupyter_client.session import json_packer, json_unpacker

os.mkdir("listed")
open(b"listed/caf\xe9", "w").close()
(name,) = os.listdir("listed")

plain = json.dumps({"name": name}).encode()
back = json.loads(plain)["name"]
print("json.dumps:      ", plain, "->", ascii(back) + ", same:", back == name)

packed = json_packer({"name": name})
came = json_unpacker(packed)["name"]
exists = os.path.exists(os.path.join("listed", came))
print("jupyter_client:  ", packed, "->", ascii(came) + ", same:", came == name, end="")
print(", exists:", exists)

try:
    json_packer({"name": "\ud800"})
    other = "sent"
except UnicodeEncodeError as error:
    other = type(error).__name__
print("other surrogate: ", other)
as_seen = back == name and packed == b'{"name": "caf\xe9"}' and came == "caf\ufffd" and not exists
sys.exit(0 if as_seen and other == "UnicodeEncodeError" else 1)
PYTHON
