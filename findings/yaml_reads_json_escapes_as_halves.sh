#!/usr/bin/env bash
# PyYAML and ruamel.yaml read a character beyond U+FFFF, as json.dumps escapes it, as two halves that no UTF-8 can hold.
#
# Versions: PyYAML 6.0.4, ruamel.yaml 0.19.1, Python 3.11.
# Guess: "every JSON file is also a valid YAML file" (YAML 1.2.2, section 1.3), so that json.dumps writes YAML for any text, and
#        a JSON manifest may be given to whatever reads YAML.
# What happens: json.dumps escapes U+1F327 as "\ud83c\udf27", one surrogate pair. The YAML readers take each escape for a character
#        of its own: the text has two characters, lone surrogates, and fails where it is encoded, far away from the reader.
#        json.dumps(…, ensure_ascii=False) and YAML's own "\U0001f327" are read as one character.
# Seen:
#     PyYAML: json.dumps -> 2 characters, UTF-8: no; ensure_ascii=False -> 1 character, UTF-8: yes; \U -> 1 character, UTF-8: yes
#     ruamel.yaml: json.dumps -> 2 characters, UTF-8: no; ensure_ascii=False -> 1 character, UTF-8: yes; \U -> 1 character, UTF-8: yes
# For users: write YAML's "\UXXXXXXXX", or the characters themselves.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install 'PyYAML==6.0.4' 'ruamel.yaml==0.19.1'
"$folder/venv/bin/python" - >"$folder/seen" <<'PY'
import json

import ruamel.yaml
import yaml


def told(read, document):
    text = read(document)
    try:
        text.encode()
        encodes = "yes"
    except UnicodeEncodeError:
        encodes = "no"
    return f"{len(text)} character{'s' * (len(text) > 1)}, UTF-8: {encodes}"


written = {
    "json.dumps": json.dumps("\U0001f327"),
    "ensure_ascii=False": json.dumps("\U0001f327", ensure_ascii=False),
    "\\U": '"\\U0001f327"',
}
for name, read in (("PyYAML", yaml.safe_load), ("ruamel.yaml", ruamel.yaml.YAML(typ="safe", pure=True).load)):
    print(f"{name}: " + "; ".join(f"{how} -> {told(read, text)}" for how, text in written.items()))
PY
cat "$folder/seen"
diff "$folder/seen" - <<'SEEN'
PyYAML: json.dumps -> 2 characters, UTF-8: no; ensure_ascii=False -> 1 character, UTF-8: yes; \U -> 1 character, UTF-8: yes
ruamel.yaml: json.dumps -> 2 characters, UTF-8: no; ensure_ascii=False -> 1 character, UTF-8: yes; \U -> 1 character, UTF-8: yes
SEEN
