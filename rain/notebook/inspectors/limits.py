"""Bounds of what an inspector reads and sends; the unit is the last word of the name."""

from rain.common.limits import KIB, MIB

# -- reading --------------------------------------------------------------------------------------
BLOCK_BYTES = 64 * KIB
"""What is read at once, and kept."""
CACHE_BLOCKS_MAX = 128
RUN_BYTES_MAX = MIB
"""Blocks beside each other that are asked for together."""
OPEN_READ_BYTES_MAX = 512 * KIB
"""What may be read to show the first page."""
MORE_READ_BYTES_MAX = 8 * MIB
"""What may be read for each further page, for instance to find where its rows begin."""
SCAN_ITEMS_MAX = 300_000
"""CBOR items that are passed over for one page."""
OPENED_MAX = 8
"""Files of a directory that an inspection keeps open, with what it knows of them."""

# -- pages ----------------------------------------------------------------------------------------
TEXT_PAGE_BYTES = 64 * KIB
HEX_PAGE_ROWS = 256
HEX_ROW_BYTES = 16
TREE_PAGE_CHILDREN = 100
TREE_TEXT_CHARS = 200
TREE_VALUE_CHARS = 8 * KIB
"""Of a string that was itself asked for, rather than seen among others."""
TABLE_PAGE_ROWS = 100
TABLE_COLUMNS_MAX = 64
CELL_CHARS = 200
ROW_BYTES_MAX = 128 * KIB
"""Longest row of a CSV file that is split into cells."""
DIRECTORY_PAGE_ENTRIES = 200
DOWNLOAD_PIECE_BYTES = MIB

# -- values ---------------------------------------------------------------------------------------
IMAGE_BYTES_MAX = 16 * MIB
IMAGE_PIXELS_MAX = 100_000_000
IMAGE_PARTS_MAX = 10_000
"""Parts of a picture that are passed over to find out how many pixels it has."""
PICKLE_OPCODES_MAX = 100_000
"""Opcodes of a pickle that are looked at for its summary."""
PICKLE_GLOBALS_MAX = 200
VALUE_BYTES_MAX = 256 * MIB
"""Largest pickle that is loaded for a look; large buffers that can be mapped on this host do not count."""
VALUE_TEXT_CHARS = 64 * KIB
ARROW_COLUMN_BYTES_MAX = 4 * MIB
"""What is read of one column for a page, and of a column that cannot be read in part."""
ARROW_HEAD_BYTES_MAX = 4 * MIB
"""Longest description of a batch, a schema or a file."""
ARROW_INFLATED_BYTES_MAX = 64 * MIB
"""Of a compressed batch, which can only be read as a whole."""
ARROW_HEADS_MAX = 1000
"""Batches that are passed over for one page; for the first page fewer."""

SVG_BYTES_MAX = 2 * MIB
"""Largest SVG that is drawn."""
ZIP_ENTRIES_MAX = 100_000
ZIP_READ_BYTES_MAX = 8 * MIB
"""Longest directory of a zip file that is read."""
ZIP_HEADERS_MAX = 200
"""Arrays of an ``.npz`` of which shape and type are looked up."""
GZIP_READ_BYTES_MAX = 512 * KIB
GZIP_SHOWN_BYTES_MAX = 2 * MIB
"""What is inflated of the beginning of a gzip file."""
NOTEBOOK_BYTES_MAX = 16 * MIB
NOTEBOOK_CELLS_MAX = 200
NOTEBOOK_CELL_CHARS = 4000

# -- overview and static text -----------------------------------------------------------------------
OVERVIEW_ITEMS_MAX = 200
OVERVIEW_DEPTH_MAX = 8
OVERVIEW_TEXT_CHARS = 2000
STATIC_LINES = 8
STATIC_LINE_CHARS = 100
