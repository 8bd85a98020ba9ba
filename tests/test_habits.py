"""Attributes that other libraries have: the errors say what to write, and nothing else changes."""

import argparse
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
        "append",
        "pop",
    )
    trainers = ("train", "zero_grad", "compile", "score", "learning_rate", "criterion")
    assert {*(("Sequential", name) for name in nets), *(("Trainer", name) for name in trainers)} <= listed


FREEZE = ("freeze", "frozen", "requires_grad", "requires_grad_", "trainable", "eval")


@pytest.mark.parametrize("name", FREEZE)
def test_layers_say_how_to_freeze_them(name):
    net = nn.Sequential(nn.Dense(2, 3), nn.Residual(nn.Dense(3, 3)), nn.ReLU(), seed=0)
    for layer, path in ((net[1][0], "1.0"), (net[1], "1"), (nn.Dense(2, 3), "0")):
        with pytest.raises(AttributeError) as caught:
            getattr(layer, name)
        text = f'{type(layer).__name__} has no attribute {name!r}: write net.freeze("{path}.*")'
        assert str(caught.value).partition(";")[0] == text
        net.freeze(f"{path}.*")
    assert not hasattr(net[0], name) and name not in dir(net[0])
    with pytest.raises(AttributeError, match=f"^ReLU has no attribute '{name}': it has no parameters$"):
        getattr(net[2], name)
    with pytest.raises(AttributeError, match=f"^Dense has no setting {name}: its settings are"):
        setattr(net[0], name, True)


def test_own_layers_may_have_such_attributes():
    class Mine(nn.Dense):
        def __init__(self):
            super().__init__(2, 3)
            self.frozen = 3

        def freeze(self):
            return "mine"

    assert (Mine().frozen, Mine().freeze()) == (3, "mine")


@pytest.mark.parametrize("index", [0, 1, -1, 2, 7, slice(0, 1)])
def test_other_layers_are_given_to_a_new_net(index):
    net, layer = net_of(), nn.Dense(3, 2)
    with pytest.raises(TypeError, match="the layers of a net must be given when it is made, got net") as caught:
        net[index] = layer
    fix = str(caught.value).partition(": write ")[2].partition(", as layers bring")[0]
    if index in (-1, 2):
        made = eval(fix, {"nn": nn, "net": net, "layer": layer})
        assert fix == "nn.Sequential(*net[:-1], layer)" and len(made) == 3
        assert (made[0].weight == net[0].weight).all()
    elif isinstance(index, int) and index < 3:
        made = [*net[:index], layer, *net[index + 1 :]]
        names = {"nn": argparse.Namespace(Sequential=lambda *each: list(each)), "net": net, "layer": layer}
        assert eval(fix, names) == made


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
