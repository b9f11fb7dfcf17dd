"""Content types: Python values to bytes and back.

Theory of operation
-------------------
`registry` has a line for each content type that comes with Rain: its name, or what names of its family begin with, and
the class that stands for it, a `ContentType` in a module of its own. Distributions add more by entry points of the
group ``rain.content_types``; their names are under ``plugin/``. A class is loaded when a value is encoded or decoded as
its type, so that naming a type costs nothing and no process loads libraries that it does not use. `codecs` are the
functions that the rest of Rain calls.

Executors and clients import this. Servers and governors pass names on and never load a class.
"""

from rain.objects.content_types.content_type import ContentType

__all__ = ["ContentType"]
