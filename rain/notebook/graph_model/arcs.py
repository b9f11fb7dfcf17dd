"""The arcs of the visible graph: which objects are boxes, and which only the arc to a consumer; what arcs say."""

from __future__ import annotations

from rain.notebook.graph_model.records import ObjectLike, TaskLike

UNNAMED = frozenset((None, "", "const", "const_dir"))
"""Labels of constants to which the user gave no name."""
NAMES_MAX = 3
"""Names of objects that an arc lists; of more it says how many they are."""


class Bundle:
    """The arcs of the whole graph that lead from what is in one visible node to what is in another one.

    Attributes
    ----------
    labels : list of str
        What its arcs say, each text once.
    count : int
    """

    __slots__ = ("count", "labels")

    def __init__(self, label: str) -> None:
        self.labels = [label] if label else []
        self.count = 1

    def add(self, label: str) -> None:
        """There is one more."""
        self.count += 1
        if label and len(self.labels) <= NAMES_MAX and label not in self.labels:
            self.labels.append(label)

    @property
    def label(self) -> str:
        """What is written on it; empty if the number says more."""
        named = len(self.labels)
        return ", ".join(self.labels) if self.count == 1 or self.count == named <= NAMES_MAX else ""


def is_box(record: ObjectLike) -> bool:
    """Whether an object is drawn by itself: it stays, or a user named it, or it is a directory.

    Any other one is the arc from the task that makes it to a task that uses it.
    """
    if record.kept or record.spec.data_type == "dir":
        return True
    return record.task is None and record.spec.label not in UNNAMED


def numbered(index: int, label: str | None) -> str:
    """An arc's place among the inputs or outputs of its task, with its name: where all objects are drawn."""
    return str(index) if label is None else f"{index}: {label}"


def telling(consumer: TaskLike, index: int, source: ObjectLike, boxed: bool) -> str:
    """What the arc to an input says that could not be guessed without it.

    Parameters
    ----------
    consumer : TaskLike
    index : int
        Of the input.
    source : ObjectLike
        The input.
    boxed : bool
        Whether the arc begins at a box, where the object's name is written.

    Returns
    -------
    str
        Which of several outputs it is, else which of several inputs; empty where there is one only.
    """
    name = source.spec.label or ""
    maker = source.task
    if not boxed and maker is not None and len(maker.outputs) > 1:
        return name
    inputs = consumer.spec.inputs
    label = inputs[index].label or ""
    guessed = (boxed and label == name) or label.endswith("]")  # ``*numbers`` are called numbers[0], numbers[1], …
    return label if len(inputs) > 1 and not guessed else ""
