"""Images: a graph of objects of known classes as bytes, and back; no pickle, no code that the bytes could name.

Theory of operation
-------------------
What is written are *tables*, one for each class, and in them *columns*: the values of one attribute of many objects,
one after the other. A value is a number, None, or a reference to a row of a table; so the graph may have cycles, an
object that two others share is one object again, and no function calls itself for what hangs below an object, however
deep that is. Columns are made and read by functions of the interpreter that loop in C, which is what makes this fast.

Records, dicts, lists, sets, deques and bytearrays are made empty first and filled later. Tuples, frozensets, Structs,
text and bytes cannot be filled: their tables are written in pieces, each behind those that it refers to.
Text, bytes and frozensets that are equal become one; of all else each object stays itself. Dicts keep their order, the
items of sets are sorted; so the image of an image's graph is the same image.

Only classes that the `Codec` was given are written, and only those are made again: what an image may lead to is decided
here, not by its bytes.
"""
