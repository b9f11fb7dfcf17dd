"""Directory trees: one walk over directory descriptors, and what visits with it: copy, link, adopt, compare, remove.

Theory of operation
-------------------
Directories come from tasks and users, and may change while they are read. So nothing below a root is ever opened by a
path of several components: each folder is opened relative to the descriptor of the folder it lies in, and a symbolic
link is never followed by the kernel (`walk`). Trees may be deep: no function calls itself for a folder in a folder, and
of the folders on the way down a few only are open at once (`Descent`).
"""

from rain.objects.dirtree.adopt import own_tree
from rain.objects.dirtree.compare import file_identities, same_tree, tree_size
from rain.objects.dirtree.copies import copy_tree, exchange, link_tree, move
from rain.objects.dirtree.links import LinkLoop, is_inside, is_within, link_stays_inside, resolve
from rain.objects.dirtree.one_file import clone_file, copy_file, link_file, link_or_copy, open_entry, read_only
from rain.objects.dirtree.remove import remove_any, remove_file, remove_tree
from rain.objects.dirtree.walk import FOLDER_FLAGS, READ_FLAGS, Descent, Entry, Limits, open_below, open_folder, walk

__all__ = [
    "FOLDER_FLAGS",
    "READ_FLAGS",
    "Descent",
    "Entry",
    "Limits",
    "LinkLoop",
    "clone_file",
    "copy_file",
    "copy_tree",
    "exchange",
    "file_identities",
    "is_inside",
    "is_within",
    "link_file",
    "link_or_copy",
    "link_stays_inside",
    "link_tree",
    "move",
    "open_below",
    "open_entry",
    "open_folder",
    "own_tree",
    "read_only",
    "remove_any",
    "remove_file",
    "remove_tree",
    "resolve",
    "same_tree",
    "tree_size",
    "walk",
]
