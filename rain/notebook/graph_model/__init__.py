"""What a session looks like: a fold over the records that its client has anyway.

Theory of operation
-------------------
`View` is told which tasks and objects were made or changed, and answers what is to be drawn. It holds a tree of
groups (`tree`): tasks by the path in their names and by function, groups with many members in parts of a hundred. A
cut through that tree is visible; everything below a closed group is only counted. Counts are kept up to date along
the way to the root, so that a change of one of 100,000 tasks costs the depth of the tree, whatever is open.

What is visible is described by the topology, which changes when something is made, opened or closed, and by a status
for each node. `delta` gives what is different since it was last asked.
"""

from rain.notebook.graph_model.records import ObjectLike, TaskLike
from rain.notebook.graph_model.view import View

__all__ = ["ObjectLike", "TaskLike", "View"]
