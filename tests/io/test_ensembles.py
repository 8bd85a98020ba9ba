"""Ensembles in files, and the histories in them: the same to the last bit."""

import json
import math

import numpy as np
import pytest

import fastnn
from fastnn import data, nn, optim
from fastnn.io._content import ContentWriter, reading
from fastnn.io._histories import pack_history, unpack_history
from tests import model_files
from tests.nets import NETS, WIDTH, net_of
from tests.registered import register

RNG = np.random.default_rng(0)
X, LABELS = RNG.normal(size=(24, WIDTH)), RNG.integers(0, 3, 24)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ensemble.safetensors"


def fitted(dtype="float32", average=None):
    def build(seed):
        net = nn.Sequential(
            nn.Dense(WIDTH, 5), nn.BatchNorm(5), "tanh", nn.Dropout(0.2), nn.Dense(5, 3), dtype=dtype, seed=seed
        )
        net.scaler = data.Scaler.fit(X)
        return fastnn.Trainer(net, average=average, metrics=["balanced_accuracy"])

    settings = {"epochs": 3, "batch_size": 8, "validation_data": (X, LABELS), "verbose": 0}
    return fastnn.Ensemble.fit(build, X, LABELS, members=3, output="softmax", bagging=True, **settings)


def assert_same(ensemble, other):
    assert type(other) is fastnn.Ensemble and repr(other) == repr(ensemble)
    for mine, net in zip(ensemble, other, strict=True):
        assert repr(mine) == repr(net) and mine.training_steps == net.training_steps and mine.frozen == net.frozen
        states = mine.state_dict(), net.state_dict()
        assert {name: each.tobytes() for name, each in states[0].items()} == {
            name: each.tobytes() for name, each in states[1].items()
        }
    np.testing.assert_array_equal(other.predict(X), ensemble.predict(X), strict=True)
    assert len(other.histories) == len(ensemble.histories)
    for mine, history in zip(ensemble.histories, other.histories, strict=True):
        assert type(history) is fastnn.History
        assert json.dumps(mine.epochs) == json.dumps(history.epochs)  # the order of keys, and NaN, too
        assert repr(history) == repr(mine)


@pytest.mark.parametrize("average", [None, optim.EMA(0.5)])
def test_fitted_ensembles(average, dtype, path, impl):
    ensemble = fitted(dtype, average)
    assert len(ensemble.histories) == 3
    ensemble.save(path)
    assert_same(ensemble, fastnn.Ensemble.load(path))
    other = path.with_name("other")
    fastnn.Ensemble.load(str(path)).save(str(other))
    assert other.read_bytes() == path.read_bytes()


def test_members_of_all_kinds(path):
    members = [net_of(name, "float64" if index % 2 else "float32", index) for index, name in enumerate(NETS)]
    members[1].output_scaler = data.Scaler(1.0, 2.0)
    members[2].freeze("0.*")
    ensemble = fastnn.Ensemble([*members, members[0]], "raw")
    ensemble.save(path)
    other = fastnn.Ensemble.load(path)
    assert_same(ensemble, other)
    assert other[0] is not other[-1] and other.histories == ()


def test_names_are_those_of_a_list_of_modules(path, monkeypatch):
    register(monkeypatch, slope=lambda: nn.PReLU())
    nets = [nn.Sequential(nn.Dense(2, 3), "slope", nn.Dense(3, 1)) for _ in range(2)]
    nets[1].scaler = data.Scaler(np.zeros(2), 1.0)
    fastnn.Ensemble(nets).save(path)
    assert set(model_files.read(path)[1]) == {
        *(f"{i}.{name}" for i in (0, 1) for name in ("0.weight", "0.bias", "2.weight", "2.bias")),
        "fastnn.0.1.weight", "fastnn.1.1.weight", "fastnn.members[1].scaler.center",
    }  # fmt: skip


# ---- what is refused ----


class Mine(nn.Sequential):
    """A user's net."""


class Committee(fastnn.Ensemble):
    """A user's ensemble."""


@pytest.mark.parametrize(
    ("ensemble", "message"),
    [
        (
            lambda: fastnn.Ensemble([nn.Sequential(nn.Dense(2, 3)), Mine(nn.Dense(2, 3))]),
            r"members\[1\] must be an nn.Sequential, as files contain no classes of yours, got Mine: write net.copy",
        ),
        (
            lambda: fastnn.Ensemble([nn.Sequential(nn.Dense(2, 3), nn.CustomActivation(np.square, np.square))]),
            r"members\[0\].net.layers\[1\].forward must have no function, as files contain no code, got .*: ",
        ),
        (
            lambda: Committee([nn.Sequential(nn.Dense(2, 3))]),
            r"ensemble must be a fastnn.Ensemble, as files contain no classes of yours, got Committee: write fastnn",
        ),
    ],
)
def test_ensembles_that_are_refused(ensemble, message, path):
    with pytest.raises(TypeError, match=rf"^(?:\S+: )?{message}"):
        ensemble().save(path)
    assert not path.exists()


def test_what_reads_which_file(path):
    net = nn.Sequential(nn.Dense(2, 3))
    net.save(path)
    with pytest.raises(
        ValueError, match=r"must be the file of an? ensemble, got that of a net: write fastnn.load\(path\)$"
    ):
        fastnn.Ensemble.load(path)
    fastnn.Ensemble([net]).save(path)
    with pytest.raises(ValueError, match=r"got that of an? ensemble: write fastnn.Ensemble.load\(path\)$"):
        fastnn.load(path)


def test_a_missing_registration_is_named_by_its_member(path, monkeypatch):
    with monkeypatch.context() as context:
        register(context, mine=nn.Tanh)
        fastnn.Ensemble([nn.Sequential(nn.Dense(2, 3)), nn.Sequential(nn.Dense(2, 3), "mine")]).save(path)
    with pytest.raises(
        ValueError, match=r"^(?:\S+: )?members\[1\].layers\[1\] must name an activation that is registered, got 'mine'"
    ):
        fastnn.Ensemble.load(path)


def test_not_finite_numbers_on_request(path):
    ensemble = fitted()
    ensemble[1][0].bias[0] = np.nan
    ensemble.save(path)
    with pytest.raises(ValueError, match=r"^(?:\S+: )?the tensor '1.0.bias' must be finite"):
        fastnn.Ensemble.load(path)
    other = fastnn.Ensemble.load(path, allow_nonfinite=True)
    assert np.isnan(other[1][0].bias[0]) and np.isfinite(other[0][0].bias).all()


def history_part(**values):
    return lambda content, tensors, _: content["histories"][0].update(values)


def tensor(name, value):
    return lambda content, tensors, _: tensors.update({name: np.asarray(value)})


SCHEMA, FIGURES = "fastnn.histories[0].schema", "fastnn.histories[0].figures"
PAIRS = r"histories\[0\].schemas must contain pairs of a name and one of float, int, bool, str, got"
DAMAGED = {
    "output": (lambda c, t, m: c.update(output="tanh"), r"output must be one of raw, softmax, sigmoid, got 'tanh'"),
    "output's kind": (lambda c, t, m: c.update(output=3), r"output must be one of raw, softmax, sigmoid, got int"),
    "no members": (lambda c, t, m: c.update(members=[], histories=[]), r".* must have no other tensors"),
    "members": (lambda c, t, m: c.update(members=3), r"ensemble.members must be a list, got int"),
    "more": (lambda c, t, m: c.update(more=1), r"ensemble must have the keys output, members, histories and no others"),
    "member": (lambda c, t, m: c.update(members=[None], histories=[]), r"members\[0\] must be an object, got None"),
    "histories": (lambda c, t, m: c["histories"].pop(), r"histories must be 3, one for each"),
    "history": (lambda c, t, m: c.update(histories=[3, 3, 3]), r"histories\[0\] must be an object, got int"),
    "schemas": (history_part(schemas=3), r"histories\[0\].schemas must be a list, got int"),
    "schema": (history_part(schemas=[3]), r"histories\[0\].schemas must contain lists of names and kinds, got"),
    "pair": (history_part(schemas=[[["loss"]]]), PAIRS),
    "a name": (history_part(schemas=[[[3, "float"]]]), PAIRS),
    "a kind": (history_part(schemas=[[["loss", "complex"]]]), PAIRS),
    "a list as kind": (history_part(schemas=[[["loss", ["float"]]]]), PAIRS),
    "twice": (history_part(schemas=[[["loss", "float"]] * 7]), r"histories\[0\].schemas must have each name once"),
    "few": (history_part(schemas=[[]]), r"histories\[0\].figures must have the 0 figures of all epochs, got \d+"),
    "figures": (tensor(FIGURES, np.zeros(3)), r"histories\[0\].figures must have the 18 figures of all epochs, got 3"),
    "dtype": (tensor(FIGURES, np.zeros(3, "f4")), r"histories\[0\].figures must be a vector of float64, got float32"),
    "a matrix": (tensor(SCHEMA, np.zeros((1, 3), "i4")), r"histories\[0\].schema must be a vector of int32, got"),
    "below": (tensor(SCHEMA, np.array([0, 0, -1], "i4")), r"histories\[0\].schema must contain numbers of the 1 sch"),
    "above": (tensor(SCHEMA, np.array([0, 0, 1], "i4")), r"histories\[0\].schema must contain numbers of the 1 sch"),
    "no tensor": (history_part(figures=[1.0]), r"histories\[0\].figures must be a vector of float64, got list"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_ensembles_are_refused(name, path):
    changed, message = DAMAGED[name]
    fitted().save(path)
    model_files.change(path, changed)
    with pytest.raises((TypeError, ValueError), match=rf"^(?:\S+: )?{message}"):
        fastnn.Ensemble.load(path)


# ---- histories ----

HISTORIES = {
    "no epochs": [],
    "empty epochs": [{}, {}],
    "one": [{"loss": 0.1}],
    "order of keys": [{"a": 1.0, "b": 2.0}, {"b": 1.0, "a": 2.0}, {"a": 1.0}],
    "edges": [{"loss": each} for each in (math.nan, -math.nan, math.inf, -math.inf, -0.0, 5e-324, 1.7e308, 1 / 3)],
    "kinds": [
        {"n": 3, "best": True, "note": "µ\x1b[0m"},
        {"n": 2**53, "best": False, "note": ""},
        {"n": 3.0, "note": 1.0},
    ],
    "strings": [{"stopped": each} for each in ("a", "b", "a", "c")],
    "names": [{"": 1.0, "fastnn.x": 2.0, "\u2028": 3.0}],
    "NumPy's": [{"a": np.float64(0.1), "b": np.float32(0.5), "c": np.int64(7), "d": np.bool_(True)}],
}


def written_and_read(epochs, path):
    content = ContentWriter()
    content.write(path, "trainer", {"history": pack_history(epochs, content, "history")})
    with reading(path, "trainer") as saved:
        return unpack_history(saved, saved.content["history"], "history")


@pytest.mark.parametrize("name", HISTORIES)
def test_histories(name, path):
    epochs = HISTORIES[name]
    read = written_and_read(epochs, path)
    plain = [
        {key: each.item() if isinstance(each, np.generic) else each for key, each in epoch.items()} for epoch in epochs
    ]
    assert list(map(repr, read)) == list(map(repr, plain))
    for mine, other in zip(plain, read, strict=True):
        assert list(map(type, mine.values())) == list(map(type, other.values()))
        for one, two in zip(mine.values(), other.values(), strict=True):
            assert not isinstance(one, float) or np.float64(one).tobytes() == np.float64(two).tobytes()


@pytest.mark.slow
def test_a_million_epochs(path):
    epochs = [{"loss": 1 / (index + 1), "lr": 1e-3, "seconds": 0.5} for index in range(10**6)]
    epochs[77]["val_loss"] = 0.25
    assert written_and_read(epochs, path) == epochs
    assert path.stat().st_size < 29 * 10**6


@pytest.mark.parametrize(
    ("figure", "error", "message"),
    [
        (None, TypeError, r"history\[1\]\['x'\] must be a number or a string, got None"),
        ([1.0], TypeError, r"history\[1\]\['x'\] must be a number or a string, got list"),
        (2**53 + 1, ValueError, r"history\[1\]\['x'\] must be from -2\*\*53 to 2\*\*53, if it is an integer, got 9007"),
    ],
)
def test_figures_that_are_refused(figure, error, message):
    with pytest.raises(error, match=rf"^(?:\S+: )?{message}"):
        pack_history([{"x": 1.0}, {"x": figure}], ContentWriter(), "history")
    with pytest.raises(TypeError, match=r"^the names of history must be strings, got int$"):
        pack_history([{3: 1.0}], ContentWriter(), "history")


@pytest.mark.parametrize(
    ("kind", "number", "message"),
    [
        (
            "int",
            0.5,
            r"be whole numbers from -9007199254740992 to 9007199254740992 for figures of the kind int, got 0.5",
        ),
        ("int", math.nan, r"be whole numbers from .* got nan"),
        ("int", -math.inf, r"be whole numbers from .* got -inf"),
        ("bool", 2.0, r"be whole numbers from 0 to 1 for figures of the kind bool, got 2.0"),
        ("str", 1.0, r"be whole numbers from 0 to 0 for figures of the kind str, got 1.0"),
        ("str", -1.0, r"be whole numbers from 0 to 0 for figures of the kind str, got -1.0"),
    ],
)
def test_damaged_figures(kind, number, message, path):
    content = ContentWriter()
    value = {"int": 3, "bool": True, "str": "text"}[kind]
    content.write(path, "trainer", {"history": pack_history([{"x": value}], content, "history")})
    model_files.change(path, lambda c, tensors, m: tensors.update({"fastnn.history.figures": np.array([number])}))
    with (
        pytest.raises(ValueError, match=rf"^(?:\S+: )?history\.figures must {message}$"),
        reading(path, "trainer") as saved,
    ):
        unpack_history(saved, saved.content["history"], "history")
