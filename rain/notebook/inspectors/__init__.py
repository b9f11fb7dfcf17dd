"""Looking into data instances, by content type, without moving more than is shown.

Theory of operation
-------------------
`Inspection` answers the browser's messages (docs/notebook.md). What is looked at, the object or a file inside it, is
a `Subject`: a blob that is read in ranges, where it lies. `kinds` says which views there are of it; each view is made
by a viewer, which gets the checked parameters and gives a page: JSON of bounded size, and buffers. Viewers remember
what they found out (where rows begin, where nodes are), but read nothing that is not needed for what is shown.

Nothing that was read is trusted. Pickles are only loaded for the view ``value``, which is never the one that is shown
unasked.
"""

from rain.notebook.inspectors.inspection import Inspection
from rain.notebook.inspectors.static import static_text

__all__ = ["Inspection", "static_text"]
