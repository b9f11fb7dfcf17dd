import copy
import pickle

import numpy as np
import pytest

from rain.common import LabeledList


@pytest.fixture
def abc():
    return LabeledList([1, 2, 3], labels=["a", "b", "c"])


def test_append_labels_and_membership():
    items = LabeledList()
    items.append(1, label="a")
    items.append(2, label="b")
    items.append(3)
    items._check()
    assert (items["a"], items["b"], items[2], items[-1]) == (1, 2, 3, 3)
    assert "a" in items
    assert "c" not in items
    assert 1 not in items
    assert [] not in items  # not hashable, so no label
    assert items.get_label(2) is None
    assert items.labels == ["a", "b", None]


@pytest.mark.parametrize("change", [
    lambda items: items.append(9, label="a"),
    lambda items: items.insert(0, 9, label="a"),
    lambda items: items.set(1, 9, label="a"),
    lambda items: items.set_label(1, "a"),
])  # fmt: skip
def test_duplicate_label_changes_nothing(abc, change):
    before = copy.copy(abc)
    with pytest.raises(KeyError, match="taken by item 0"):
        change(abc)
    abc._check()
    assert abc == before


def test_duplicate_label_in_constructor():
    with pytest.raises(KeyError):
        LabeledList([1, 2], labels=["a", "a"])
    with pytest.raises(KeyError):
        LabeledList(pairs=[("a", 1), ("a", 2)])


def test_positions_of_numpy(abc):
    assert abc[np.int64(1)] == abc[1]
    assert abc[np.int64(-1)] == abc[-1]
    with pytest.raises(TypeError, match="cannot be a label"):
        abc.append("x", label=np.int64(7))


@pytest.mark.parametrize("label", [0, True, slice(1)])
def test_positions_are_no_labels(abc, label):
    with pytest.raises(TypeError):
        abc.append(4, label=label)
    with pytest.raises(TypeError):
        abc.set_label(0, label)
    abc._check()


def test_unhashable_label(abc):
    with pytest.raises(TypeError):
        abc.append(4, label=[])
    abc._check()


def test_empty_string_and_tuples_are_labels():
    items = LabeledList(pairs=[("", 1), ((1, 2), 2)])
    assert items[""] == 1
    assert items[(1, 2)] == 2
    assert "" in items


def test_set_keeps_or_changes_the_label(abc):
    abc.set(0, 10, label="a")
    assert abc["a"] == 10
    abc.set("b", 20, label="x")
    assert abc["x"] == 20
    assert "b" not in abc
    abc.set(2, 30)
    assert abc.labels == ["a", "x", None]
    abc._check()


def test_assignment_clears_the_label(abc):
    abc[0] = 7
    abc["b"] = 8
    assert abc.labels == [None, None, "c"]
    assert abc.data == [7, 8, 3]
    abc._check()


def test_slices(abc):
    assert abc[1:] == [2, 3]
    assert type(abc[:]) is list
    abc[1:1] = [8, 9]
    assert abc.data == [1, 8, 9, 2, 3]
    assert abc["c"] == 3
    abc._check()
    del abc[:2]
    assert abc.labels == [None, "b", "c"]
    abc._check()
    with pytest.raises(ValueError, match="extended slice"):
        abc[::2] = [1]
    abc._check()


def test_insert_and_delete_move_labels(abc):
    abc.insert(1, 9, label="n")
    abc.insert(-1, 8)
    assert list(abc.items()) == [("a", 1), ("n", 9), ("b", 2), (None, 8), ("c", 3)]
    assert abc.pop("n") == 9
    assert abc.pop(0) == 1
    assert abc["c"] == 3
    abc._check()
    abc.insert(100, 5, label="end")
    abc.insert(-100, 6, label="start")
    assert (abc[0], abc[-1], abc["start"], abc["end"]) == (6, 5, 6, 5)
    abc._check()


def test_missing_keys_name_what_there_is(abc):
    with pytest.raises(KeyError, match="'a', 'b', 'c'"):
        abc["z"]
    with pytest.raises(IndexError, match="3 items"):
        abc[3]
    with pytest.raises(IndexError):
        abc[-4]
    with pytest.raises(KeyError):
        LabeledList()["a"]


def test_constructors_agree(abc):
    assert abc == LabeledList(pairs=[("a", 1), ("b", 2), ("c", 3)])
    assert abc == LabeledList(pairs=abc.items())
    assert abc == LabeledList(abc)
    assert LabeledList(abc, labels=[None] * 3) == LabeledList([1, 2, 3])
    with pytest.raises(ValueError, match="2 labels for 1 items"):
        LabeledList([1], labels=["a", "b"])
    with pytest.raises(ValueError, match="either"):
        LabeledList([1], pairs=[("a", 1)])


def test_equality_is_between_labeled_lists(abc):
    assert abc != [1, 2, 3]
    assert abc != LabeledList([1, 2, 3])
    with pytest.raises(TypeError):
        hash(abc)


def test_copies_are_independent(abc):
    for other in (LabeledList(abc), copy.copy(abc), copy.deepcopy(abc), pickle.loads(pickle.dumps(abc))):
        assert other == abc
        other.append(4, label="d")
        other._check()
        assert len(abc) == 3


def test_mutable_sequence_methods(abc):
    abc.extend([4, 5])
    abc += [6]
    abc.reverse()
    assert abc.data == [6, 5, 4, 3, 2, 1]
    assert abc["a"] == 1
    abc._check()
    abc.remove(5)
    assert abc.index(1) == 4
    assert abc.count(4) == 1
    abc.clear()
    abc._check()
    assert len(abc) == 0


def test_repr(abc):
    abc.append("v")
    assert repr(abc) == "LabeledList(['a': 1, 'b': 2, 'c': 3, 'v'])"
