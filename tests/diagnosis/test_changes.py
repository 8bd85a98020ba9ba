"""Every change of layers that a diagnosis tries goes with every kind of net, or says that it does not."""

import numpy as np
import pytest

import fastnn
from fastnn import nn
from fastnn.diagnosis import Setup, _changes

ROWS = 24
RNG = np.random.default_rng(0)
X = RNG.normal(size=(ROWS, 4)).astype(np.float32)
IDS = np.column_stack([RNG.integers(0, 5, ROWS), X[:, :2]]).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int64)

CHANGES = {
    "default_initialisers": _changes.default_initialisers,
    "add_activations": _changes.add_activations,
    "to_relu": _changes.to_relu,
    "to_leaky_relu": _changes.to_leaky_relu,
    "add_batch_norm": _changes.add_batch_norm,
    "wider": _changes.wider(4, 32),
    "without_dropout": _changes.without_dropout,
    "momentum_of_batch_norm": _changes.momentum_of_batch_norm,
    "drop_output_activation": _changes.drop_output_activation,
    "with_outputs": lambda setup: _changes.with_outputs(setup, 3),
}

# Name -> the layers and the rows of a net for two classes.
NETS = {
    "chain": (lambda: [nn.Dense(4, 8), nn.ReLU(), nn.Dense(8, 8), nn.Tanh(), nn.Dense(8, 2)], X),
    "no activation": (lambda: [nn.Dense(4, 8), nn.Dense(8, 2)], X),
    "one layer": (lambda: [nn.Dense(4, 2)], X),
    "batch norm, dropout": (
        lambda: [nn.Dense(4, 8), nn.BatchNorm(8, momentum=0.001), nn.ReLU(), nn.Dropout(0.5), nn.Dense(8, 2)],
        X,
    ),
    "norm first": (lambda: [nn.BatchNorm(4), nn.Dense(4, 8), nn.ReLU(), nn.Dense(8, 2)], X),
    "layer norm": (lambda: [nn.Dense(4, 8), nn.LayerNorm(8), nn.ReLU(), nn.Dense(8, 2)], X),
    "PReLU": (lambda: [nn.Dense(4, 8), nn.PReLU(), nn.Dense(8, 2)], X),
    "PReLU of each unit": (lambda: [nn.Dense(4, 8), nn.PReLU(8), nn.Dense(8, 2)], X),
    "residual": (
        lambda: [
            nn.Dense(4, 8),
            nn.Residual(nn.Dense(8, 8), nn.BatchNorm(8), nn.ReLU(), nn.Dropout(0.2)),
            nn.Dense(8, 2),
        ],
        X,
    ),
    "residual of two": (
        lambda: [nn.Dense(4, 8), nn.Residual(nn.Dense(8, 16), nn.Tanh(), nn.Dense(16, 8)), nn.ReLU(), nn.Dense(8, 2)],
        X,
    ),
    "parallel": (lambda: [nn.Parallel(nn.Dense(4, 4), nn.Dense(4, 4)), nn.ReLU(), nn.Dense(8, 2)], X),
    "parallel of nets": (
        lambda: [
            nn.Parallel(nn.Sequential(nn.Dense(4, 4), nn.Sigmoid()), nn.Sequential(nn.Dense(4, 4), nn.ReLU())),
            nn.Dense(8, 2),
        ],
        X,
    ),
    "columns": (
        lambda: [
            nn.Parallel(nn.Columns([0, 1], nn.Dense(2, 4), in_features=4), nn.Columns([2, 3], in_features=4)),
            nn.ReLU(),
            nn.Dense(6, 2),
        ],
        X,
    ),
    "embedding": (
        lambda: [
            nn.Parallel(nn.Columns([0], nn.Embedding(5, 3), in_features=3), nn.Columns([1, 2], in_features=3)),
            nn.Dense(5, 8),
            nn.ReLU(),
            nn.Dense(8, 2),
        ],
        IDS,
    ),
    "only an embedding": (lambda: [nn.Embedding(5, 3), nn.Dense(3, 2)], IDS[:, :1]),
    "heads": (lambda: [nn.Dense(4, 8), nn.ReLU(), nn.Parallel(nn.Dense(8, 1), nn.Dense(8, 1))], X),
    "net in a net": (lambda: [nn.Sequential(nn.Dense(4, 8), nn.ReLU()), nn.Sequential(nn.Dense(8, 2))], X),
    "softmax at the end": (lambda: [nn.Dense(4, 8), nn.ReLU(), nn.Dense(8, 2), nn.Softmax()], X),
    "activation first": (lambda: [nn.Columns([0, 1], in_features=4), nn.Tanh(), nn.Dense(2, 2)], X),
    "no dense": (lambda: [nn.Columns([0, 1], in_features=4), nn.ScaleColumns(2)], X),
    "initialisers": (
        lambda: [nn.Residual(nn.Dense(4, 4, init="zeros"), nn.Tanh()), nn.Dense(4, 2, init=nn.init.normal(std=2.0))],
        X,
    ),
    "unbiased, max_norm": (
        lambda: [nn.Dense(4, 8, bias=False, max_norm=1.0), nn.BatchNorm(8), nn.ReLU(), nn.Dense(8, 2)],
        X,
    ),
}

# Changes that are refused: in such nets widths follow from each other, or the last layer has no outputs of its own.
NOT_WIDER = {
    "layer norm", "PReLU of each unit", "residual", "residual of two", "parallel", "parallel of nets", "columns",
    "embedding", "only an embedding", "net in a net", "no dense", "heads", "initialisers",
    "activation first",
}  # fmt: skip
NO_OUTPUTS = {"heads", "net in a net", "no dense"}
REFUSED = {("wider", name): "layers must be dense layers" for name in NOT_WIDER}
REFUSED |= {("with_outputs", name): "the last layer with parameters must be a Dense" for name in NO_OUTPUTS}
PAIRS = [(change, name) for change in CHANGES for name in NETS]


def setup_of(name):
    make, x = NETS[name]
    net = nn.Sequential(*make(), seed=0)
    return Setup.of(fastnn.Trainer(net, "cross_entropy"), x, Y, epochs=1, batch_size=8)


@pytest.mark.parametrize(("change", "name"), PAIRS)
def test_changes_go_with_all_nets(change, name):
    """The changed net trains; or the change is refused by a message that says which layers do not go together."""
    setup = setup_of(name)
    before = setup.net.params.data.copy()
    if (change, name) in REFUSED:
        with pytest.raises(ValueError, match=REFUSED[change, name]):
            CHANGES[change](setup)
        return
    changed = CHANGES[change](setup)
    assert changed.fit().error is None
    assert np.array_equal(setup.net.params.data, before), "the setup stays as it is"


def hidden(net, kind):
    """Return the layers of a kind, those in containers included; the last layer of the net is no hidden one."""
    return [each for each in net.leaves[:-1] if isinstance(each, kind)]


def dense_of(net):
    return [each for each in net.leaves if isinstance(each, nn.Dense)]


# Change -> whether a changed net has what it is meant to have.
EFFECTS = {
    "default_initialisers": lambda net: not any("init" in repr(each) for each in net.leaves),
    "to_relu": lambda net: not hidden(net, nn.Tanh | nn.Sigmoid),
    "to_leaky_relu": lambda net: not hidden(net, nn.ReLU),
    "wider": lambda net: all(each.out_features >= 32 for each in dense_of(net)[:-1]),
    "without_dropout": lambda net: not hidden(net, nn.Dropout),
    "momentum_of_batch_norm": lambda net: all(each.momentum == 0.1 for each in hidden(net, nn.BatchNorm)),
    "drop_output_activation": lambda net: not isinstance(net.leaves[-1], nn.Softmax),
    "with_outputs": lambda net: net.out_features == 3,
}


APPLIED = [each for each in PAIRS if each[0] in EFFECTS and each not in REFUSED]


@pytest.mark.parametrize(("change", "name"), APPLIED)
def test_changes_do_what_their_names_say(change, name):
    assert EFFECTS[change](CHANGES[change](setup_of(name)).net)


@pytest.mark.parametrize(
    ("change", "name", "expected"),
    [
        ("add_activations", "no activation", [nn.Dense(4, 8), nn.ReLU(), nn.Dense(8, 2)]),
        ("add_activations", "chain", None),
        ("add_batch_norm", "no activation", [nn.Dense(4, 8), nn.BatchNorm(8), nn.Dense(8, 2)]),
        ("add_batch_norm", "one layer", None),
        ("drop_output_activation", "softmax at the end", [nn.Dense(4, 8), nn.ReLU(), nn.Dense(8, 2)]),
    ],
)
def test_layers_that_changes_add_and_leave_out(change, name, expected):
    changed = CHANGES[change](setup_of(name)).net
    assert repr(changed) == repr(nn.Sequential(*(expected or NETS[name][0]()), seed=0))
