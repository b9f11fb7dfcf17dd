"""Which column of an Arrow table has the labels of its rows, as pandas notes it in the schema."""

from __future__ import annotations

import json
from collections.abc import Mapping


def label_column(names: list[str], metadata: Mapping[bytes, bytes] | None) -> int | None:
    """The number of the column with the rows' labels; None if there is none, or several.

    Examples
    --------
    >>> label_column(["a", "__index_level_0__"], {b"pandas": b'{"index_columns": ["__index_level_0__"]}'})
    1
    """
    try:
        index = json.loads((metadata or {})[b"pandas"])["index_columns"]
        if isinstance(index, list) and len(index) == 1 and isinstance(index[0], str) and names.count(index[0]) == 1:
            return names.index(index[0])
    except (KeyError, ValueError, TypeError, RecursionError):
        pass
    return None
