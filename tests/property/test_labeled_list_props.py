"""LabeledList against a plain list of (label, value)."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from rain.common import LabeledList

labels = st.one_of(st.none(), st.sampled_from(["", "a", "b", "c", ("t", 1)]))
values = st.integers()
positions = st.integers(-8, 8)


class Lists(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.real = LabeledList()
        self.model = []

    def taken(self, label, but=None):
        return label is not None and any(known == label for at, (known, _) in enumerate(self.model) if at != but)

    def at(self, position):
        try:
            return range(len(self.model))[position]
        except IndexError:
            return None

    @rule(value=values, label=labels)
    def append(self, value, label):
        if self.taken(label):
            with pytest.raises(KeyError):
                self.real.append(value, label=label)
        else:
            self.real.append(value, label=label)
            self.model.append((label, value))

    @rule(position=positions, value=values, label=labels)
    def insert(self, position, value, label):
        if self.taken(label):
            with pytest.raises(KeyError):
                self.real.insert(position, value, label=label)
        else:
            self.real.insert(position, value, label=label)
            self.model.insert(position, (label, value))

    @rule(position=positions, value=values, label=labels)
    def set(self, position, value, label):
        at = self.at(position)
        if at is None:
            with pytest.raises(IndexError):
                self.real.set(position, value, label=label)
        elif self.taken(label, at):
            with pytest.raises(KeyError):
                self.real.set(position, value, label=label)
        else:
            self.real.set(position, value, label=label)
            self.model[at] = (label, value)

    @rule(position=positions, label=labels)
    def set_label(self, position, label):
        at = self.at(position)
        if at is None or self.taken(label, at):
            with pytest.raises((IndexError, KeyError)):
                self.real.set_label(position, label)
        else:
            self.real.set_label(position, label)
            self.model[at] = (label, self.model[at][1])

    @rule(position=positions, value=values)
    def assign(self, position, value):
        if (at := self.at(position)) is None:
            with pytest.raises(IndexError):
                self.real[position] = value
        else:
            self.real[position] = value
            self.model[at] = (None, value)

    @rule(start=positions, stop=positions, new=st.lists(values, max_size=3))
    def assign_slice(self, start, stop, new):
        self.real[start:stop] = new
        self.model[start:stop] = [(None, value) for value in new]

    @rule(start=positions, stop=positions, step=st.sampled_from([None, 2, -1]))
    def delete_slice(self, start, stop, step):
        del self.real[start:stop:step]
        del self.model[start:stop:step]

    @rule(label=labels.filter(lambda label: label is not None))
    def pop_label(self, label):
        if self.taken(label):
            at = [known for known, _ in self.model].index(label)
            assert self.real.pop(label) == self.model.pop(at)[1]
        else:
            with pytest.raises(KeyError):
                self.real.pop(label)

    @rule()
    def reverse(self):
        self.real.reverse()
        self.model.reverse()

    @invariant()
    def agree(self):
        self.real._check()
        assert list(self.real.items()) == self.model
        assert list(self.real) == self.real.data == [value for _, value in self.model]
        for label, value in self.model:
            if label is not None:
                assert self.real[label] == value
                assert label in self.real
        assert LabeledList(pairs=self.model) == self.real == LabeledList(self.real)


Lists.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestLists = Lists.TestCase
