"""Attributes that other libraries have: the errors say what to write, and nothing else changes."""

import copy
import pickle

import pytest

import fastnn
from fastnn import nn, optim


def net_of():
    return nn.Sequential(nn.Dense(2, 3), nn.ReLU(), nn.Dense(3, 2), seed=0)


OBJECTS = {"Sequential": net_of, "Trainer": lambda: fastnn.Trainer(net_of())}
MISSING = [
    (kind, name, fix)
    for kind, make in OBJECTS.items()
    for name, fix in type(make())._fixes.items()
    if not hasattr(type(make()), name) and name not in vars(make())
]


@pytest.mark.parametrize(("kind", "name", "fix"), MISSING, ids=lambda each: each if len(each) < 30 else "")
def test_reading_says_what_to_write(kind, name, fix):
    one = OBJECTS[kind]()
    with pytest.raises(AttributeError) as caught:
        getattr(one, name)
    assert str(caught.value) == f"{kind} has no attribute {name!r}: {fix}"
    assert not hasattr(one, name) and name not in dir(one)
    assert getattr(one, name, 3) == 3


def test_the_habits_are_listed():
    listed = {(kind, name) for kind, name, _ in MISSING}
    nets = (
        "train",
        "eval",
        "zero_grad",
        "to",
        "cuda",
        "fit",
        "compile",
        "get_weights",
        "trainable_variables",
        "weights",
    )
    trainers = ("train", "zero_grad", "compile", "score", "learning_rate", "criterion")
    assert {*(("Sequential", name) for name in nets), *(("Trainer", name) for name in trainers)} <= listed


@pytest.mark.parametrize("make", [*OBJECTS.values(), lambda: nn.Dense(2, 3), lambda: optim.Adam()])
def test_other_names_have_pythons_error(make):
    one = make()
    with pytest.raises(AttributeError, match=f"^'{type(one).__name__}' object has no attribute 'colour'$") as caught:
        _ = one.colour
    assert (caught.value.name, caught.value.obj) == ("colour", one)
    for twin in (copy.copy(one), copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
        assert type(twin) is type(one)


def test_the_error_of_a_property_stays():
    class Mine(nn.Sequential):
        @property
        def size(self):
            raise AttributeError("no size today")

    with pytest.raises(AttributeError, match=r"^no size today$"):
        _ = Mine(nn.Dense(2, 3)).size
