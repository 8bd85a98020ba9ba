"""Fits with frozen parameters: what stays, what is counted, and changes in the middle of a fit."""

import pickle
import threading

import numpy as np
import pytest

import fastnn
from fastnn import nn, optim
from fastnn.engine import Update, lower_update, make_executor
from fastnn.training._missed import MissedUpdates
from tests.nets import NETS, OUTPUTS, WIDTH, net_of

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(90, WIDTH)), RNG.integers(0, OUTPUTS, 90)
BATCH = 20

# The update is fused with the gradients, or passes over the whole arena.
SETTINGS = {
    "fused": {"optimizer": optim.AdamW(0.01, weight_decay=0.1), "penalty": optim.Penalty(l1=1e-3, l2=1e-2)},
    "clipped norm": {"optimizer": optim.SGD(0.05, momentum=0.9), "clip_norm": 0.3, "penalty": optim.Penalty(l2=1e-2)},
}


def deep(dtype="float64"):
    return nn.Sequential(
        nn.Dense(WIDTH, 8, bias=False), nn.BatchNorm(8), nn.Tanh(), nn.Dense(8, 7, max_norm=0.8), nn.LayerNorm(7),
        nn.PReLU(7), nn.Dropout(0.2), nn.Dense(7, OUTPUTS), dtype=dtype, seed=2,
    )  # fmt: skip


def fit(trainer, epochs=1, **settings):
    return trainer.fit(X, Y, epochs=epochs, batch_size=BATCH, verbose=0, **settings)


def arrays(net):
    return {name: array.copy() for name, array in net.parameters().items()}


def same(one, other):
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name], name)


class At(fastnn.training.Callback):
    """Calls functions of the net after numbers of steps."""

    def __init__(self, **changes):
        self.changes = {int(step[1:]): change for step, change in changes.items()}

    def on_batch_end(self, trainer, logs):
        if trainer.step_count in self.changes:
            self.changes[trainer.step_count](trainer.net)


# ---- what stays ----


UNUSED = "columns", "0.2."  # the second layer takes none of its columns


@pytest.fixture(scope="module")
def of_the_reference():
    """Return a function that returns the reference's values after a fit, for what is frozen in a net."""
    known = {}

    def values(name, settings, patterns):
        if (name, settings, patterns) not in known:
            with fastnn.backend("reference"):
                known[name, settings, patterns] = arrays(trained(name, settings, patterns)[1].net)
        return known[name, settings, patterns]

    return values


def trained(name, settings, patterns):
    """Fit a net with a layer frozen, and return its values before with the trainer."""
    net = net_of(name)
    net.freeze(patterns)
    before = arrays(net), net.state.data.copy()
    trainer = fastnn.Trainer(net, **SETTINGS[settings])
    fit(trainer)
    return before, trainer


@pytest.mark.sampled(5)
@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("name", NETS)
def test_each_layer_of_each_net(impl, name, settings, of_the_reference):
    for layer in [each for each in net_of(name).leaves if each.parameters()]:
        patterns = f"{layer.path}.*"
        if len(net_of(name).params.layout.shapes) == len(layer.parameters()):
            continue  # all frozen
        (before, state), trainer = trained(name, settings, patterns)
        net, want = trainer.net, of_the_reference(name, settings, patterns)
        for each, array in net.parameters().items():
            if each in net.frozen:
                np.testing.assert_array_equal(array, before[each], each)
            else:
                assert (array != before[each]).any() or (name, each[:4]) == UNUSED, each
                assert np.abs(array - want[each]).max() <= 1e-10 * np.abs(want[each]).max(), each
        for each in net.state.layout:
            if each.startswith(f"{layer.path}."):
                np.testing.assert_array_equal(net.state.view(each), net.state.layout.view(state, each))


@pytest.mark.parametrize("settings", SETTINGS)
def test_slots_of_frozen_parameters_stay(impl, settings):
    net = deep()
    trainer = fastnn.Trainer(net, **SETTINGS[settings])
    fit(trainer)
    before = trainer.state_dict()["slots"]
    net.freeze("3.*", "0.weight")
    fit(trainer)
    for slot, values in trainer.state_dict()["slots"].items():
        for name, array in values.items():
            assert np.array_equal(array, before[slot][name]) == (name in net.frozen), (slot, name)


def test_penalty_and_norms(impl):
    """The loss has the penalty of what is trained; a frozen column may be longer than its limit."""
    net = nn.Sequential(
        nn.Dense(WIDTH, 8, max_norm=0.1), nn.Tanh(), nn.Dense(8, OUTPUTS, max_norm=0.1), dtype="float64", seed=0
    )
    net.freeze("0.*")
    plain = fastnn.Trainer(net.copy(), optimizer=optim.SGD(0.0))
    penalized = fastnn.Trainer(net, optimizer=optim.SGD(0.0), penalty=optim.Penalty(l1=0.01, l2=0.3))
    first = [fit(each, shuffle=False)["loss"][0] for each in (plain, penalized)]
    w = net[2].weight  # after the fit: the first step has limited its norms, and its penalty was that before
    assert np.linalg.norm(net[0].weight, axis=0).max() > 0.5
    assert np.linalg.norm(w, axis=0).max() <= 0.1 * (1 + 1e-12)
    start = nn.Sequential(*(layer.detached() for layer in net), dtype="float64", seed=0)[2].weight
    penalties = [0.01 * np.abs(each).sum() + 0.15 * (each**2).sum() for each in (start, w)]
    share = BATCH / len(X)
    np.testing.assert_allclose(first[1] - first[0], share * penalties[0] + (1 - share) * penalties[1], rtol=1e-10)
    net.freeze("2.weight")  # no weight is penalised now
    np.testing.assert_array_equal(*[fit(each, shuffle=False)["loss"][-1] for each in (
        fastnn.Trainer(net.copy(), optimizer=optim.SGD(0.0)),
        fastnn.Trainer(net, optimizer=optim.SGD(0.0), penalty=optim.Penalty(l1=0.01, l2=0.3)),
    )])  # fmt: skip


def test_an_update_of_the_engine_skips_them(impl):
    """Alone, after gradients that somebody has written to the arena."""
    net = deep()
    layout = net.params.layout
    frozen = frozenset({"3.weight", "1.bias"})
    net.grads.data[...] = 1.0
    before, penalized = arrays(net), frozenset({"3.weight", "7.weight"})
    update = Update("sgd", frozen=frozen, penalized=penalized, l2=0.5, clip_norm=1.0, n_scalars=1)
    assert update.penalized == {"7.weight"}
    executor = make_executor(lower_update(update), net.dtype, 0, net.params, net.state, net.grads)
    executor.run("update", 0, 0, np.array([2.0]))
    gradient = {name: 1 + (0.5 * before[name] if name == "7.weight" else 0.0 * before[name]) for name in layout}
    norm = np.sqrt(sum((g**2).sum() for name, g in gradient.items() if name not in frozen))
    for name in layout:
        want = before[name] if name in frozen else before[name] - 2 * gradient[name] / (norm + 1e-6)
        np.testing.assert_allclose(net.params.view(name), want, rtol=1e-12, atol=1e-12)
        assert (name in frozen) == np.array_equal(net.params.view(name), before[name])


@pytest.mark.parametrize("settings", SETTINGS)
def test_nothing_frozen_has_the_same_bits(impl, settings):
    """Neither a freeze that is undone before a step, nor one of another trainer's fit, is counted."""
    plain, undone = (fastnn.Trainer(deep(), **SETTINGS[settings]) for _ in range(2))
    fit(plain, 2)
    undone.net.freeze()
    undone.net.unfreeze()
    fit(undone)
    undone.net.freeze("0.*")
    undone.net.unfreeze()
    fit(undone)
    same(arrays(plain.net), arrays(undone.net))
    assert undone.state_dict()["missed_updates"] == {}
    assert undone.as_update() == plain.as_update()


SIZES = 70, 610, 530, 5


def test_weights_in_panels(native, dtype):
    """Large weights, frozen or not, are in panels during a fit; the gradients' memory is used to bring them there."""
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(1600, SIZES[0])).astype(dtype), rng.integers(0, SIZES[-1], 1600)
    nets = []
    for callbacks in ([], [At()]):  # with a callback after each step there are no panels
        dense = [nn.Dense(SIZES[i], SIZES[i + 1]) for i in range(3)]
        net = nn.Sequential(dense[0], "relu", dense[1], "relu", dense[2], dtype=dtype, seed=0)
        net.gradients()
        net.freeze("0.weight", "2.weight")
        before = arrays(net)
        trainer = fastnn.Trainer(net, optimizer=optim.SGD(0.05))  # slots of frozen parameters would leave zeros there
        trainer.fit(x, y, epochs=2, batch_size=20, callbacks=callbacks, verbose=0)
        for name in net.frozen:
            np.testing.assert_array_equal(net.params.view(name), before[name])
            assert not net.gradients()[name].any()
        assert all((array != before[name]).any() for name, array in net.parameters().items() if name not in net.frozen)
        net.unfreeze()
        trainer.fit(x, y, epochs=1, batch_size=20, callbacks=callbacks, verbose=0)
        assert (net[0].weight != before["0.weight"]).any()
        net.freeze("2.*")
        assert not net.gradients()["2.weight"].any()
        nets.append(net)
    same(*map(arrays, nets))


# ---- changes in the middle ----


@pytest.mark.parametrize("settings", SETTINGS)
def test_a_callback_does_what_two_fits_do(impl, settings):
    """Two epochs of five steps; what is frozen changes between them, and in another fit in the middle of both."""

    def thaw(net):
        net.unfreeze("1.*", "3.*")

    one, two = (fastnn.Trainer(deep(), **SETTINGS[settings]) for _ in range(2))
    for trainer in (one, two):
        trainer.net.freeze("[0-4].*")
    fit(one, 2, callbacks=[At(_5=thaw)])
    fit(two)
    thaw(two.net)
    fit(two)
    same(arrays(one.net), arrays(two.net))
    missed = dict.fromkeys(("1.weight", "1.bias", "3.weight", "3.bias"), 5)
    assert one.state_dict()["missed_updates"] == {"0.weight": 10, **missed, "4.weight": 10, "4.bias": 10}
    before = arrays(one.net)
    fit(one, 1, callbacks=[At(_12=lambda net: net.freeze("7.*"), _13=lambda net: net.unfreeze("7.bias"))])
    wanted = one.state_dict()["missed_updates"]
    assert (wanted["7.weight"], wanted["7.bias"], wanted["0.weight"]) == (3, 1, 15)
    assert (one.net[7].weight != before["7.weight"]).any()


def test_a_thawed_parameter_starts_with_its_own_first_update(impl):
    """The first update of Adam moves by the learning rate, whatever the gradient's size is."""
    net = deep()
    trainer = fastnn.Trainer(net, optimizer=optim.Adam(0.01, eps=1e-14))
    net.freeze("[0-4].*")
    fit(trainer, 20)
    before = net[3].bias.copy()
    net.unfreeze("3.bias")
    fit(trainer, 1, callbacks=[At(_101=lambda net: net.freeze("3.bias"))])
    np.testing.assert_allclose(np.abs(net[3].bias - before), 0.01, rtol=1e-6)


def test_all_frozen_is_refused(impl):
    net = deep()
    trainer = fastnn.Trainer(net)
    net.forward(X, training=True)
    net.freeze()
    want = r'^net must have a parameter that is not frozen, got all 10 frozen: write net.unfreeze\("7\.\*"\)$'
    for call in (lambda: fit(trainer), trainer.step, trainer.as_update):
        with pytest.raises(ValueError, match=want):
            call()
    assert trainer.epoch == trainer.step_count == net.training_steps - 1 == 0
    assert np.isfinite(net.predict(X)).all()
    assert np.isfinite(trainer.evaluate(X, Y)["loss"])
    net.unfreeze("7.bias")
    with pytest.raises(ValueError, match=want):
        fit(trainer, callbacks=[At(_3=lambda net: net.freeze())])
    assert trainer.step_count == 3


def test_other_threads_and_functions_are_refused():
    errors = []

    class Freezes(fastnn.training.Callback):
        def on_epoch_end(self, trainer, logs):
            def run():
                try:
                    trainer.net.freeze("0.*")
                except RuntimeError as error:
                    errors.append(str(error))

            thread = threading.Thread(target=run)
            thread.start()
            thread.join()

    def identity(x, y=None, z=None):
        try:
            net.freeze("0.*")
        except RuntimeError as error:
            errors.append(str(error))
        return x

    net = nn.Sequential(nn.Dense(WIDTH, 3), nn.CustomActivation(identity, lambda dy, x, y: dy), nn.Dense(3, 3), seed=0)
    trainer = fastnn.Trainer(net)
    fit(trainer, callbacks=[Freezes()])
    assert net.frozen == ()
    assert errors[0].startswith("frozen cannot be set by a signal handler or a function of a layer or loss while")
    assert "frozen cannot be set while the net is being trained in another thread" in errors[-1]


# ---- batch norm ----


def test_batches_of_one_row_with_frozen_batch_norms(impl):
    net = nn.Sequential(nn.Dense(WIDTH, 4), nn.BatchNorm(4), nn.Dense(4, OUTPUTS), seed=0)
    trainer = fastnn.Trainer(net)
    with pytest.raises(ValueError, match=r"^batch_size must be at least 2 for"):
        trainer.fit(X, Y, batch_size=1, verbose=0)
    net.freeze("1.*")
    before = net.state.data.copy()
    trainer.fit(X[:7], Y[:7], batch_size=1, epochs=1, verbose=0)
    trainer.fit(X[:1], Y[:1], epochs=1, verbose=0)
    np.testing.assert_array_equal(net.state.data, before)
    assert trainer.step_count == 8
    with pytest.raises(ValueError, match=r"^batch_size must be at least 2 for"):
        trainer.fit(X, Y, batch_size=1, verbose=0, callbacks=[At(_11=lambda net: net.unfreeze())])
    assert trainer.step_count == 11
    net.freeze("1.*")  # the last row of 21 is a part of the batch before it, as the batch norm may be thawed
    trainer.fit(X[:21], Y[:21], batch_size=10, epochs=1, verbose=0, callbacks=[At(_12=lambda net: net.unfreeze())])
    assert trainer.step_count == 13
    assert (net.state.data != before).any()


# ---- the trainer's state ----


@pytest.mark.parametrize("how", ["state dict", "pickle", "copy"])
def test_missed_updates_are_kept(impl, how):
    trainer = fastnn.Trainer(deep(), optimizer=optim.NAdam(0.01))
    trainer.net.freeze("[0-4].*")
    fit(trainer)
    trainer.net.unfreeze("3.*")
    fit(trainer)
    state = trainer.state_dict()
    missed = {"0.weight": 10, "1.weight": 10, "1.bias": 10, "3.weight": 5, "3.bias": 5, "4.weight": 10, "4.bias": 10}
    assert state["missed_updates"] == missed
    if how == "pickle":
        twin = pickle.loads(pickle.dumps(trainer))
    elif how == "copy":
        twin = trainer.copy()
    else:
        twin = fastnn.Trainer(deep(), optimizer=optim.NAdam(0.01))
        fit(twin)  # makes an executor, whose parameters have missed nothing
        twin.net.freeze(trainer.net.frozen)
        twin.net.load_state_dict(trainer.net.state_dict())
        twin.load_state_dict(state)
    assert twin.net.frozen == trainer.net.frozen
    assert twin.state_dict()["missed_updates"] == missed
    for each in (trainer, twin):
        fit(each)
        each.net.unfreeze()
        fit(each)
    same(arrays(trainer.net), arrays(twin.net))
    assert twin.state_dict()["missed_updates"] == {**dict.fromkeys(missed, 15), "3.weight": 5, "3.bias": 5}


def test_what_forgets_missed_updates(impl):
    def thawed():
        trainer = fastnn.Trainer(deep(), optimizer=optim.Adam(0.01))
        trainer.net.freeze("0.*")
        fit(trainer)
        trainer.net.unfreeze()
        fit(trainer)
        assert trainer.state_dict()["missed_updates"] == {"0.weight": 5}
        return trainer

    for change, left in (
        (lambda trainer: trainer.reset_optimizer(), {}),
        (lambda trainer: setattr(trainer, "optimizer", optim.SGD(0.1, momentum=0.9)), {}),
        (lambda trainer: setattr(trainer, "optimizer", optim.Adam(0.1)), {"0.weight": 5}),
        (lambda trainer: setattr(trainer, "step_count", 0), {}),
        (lambda trainer: setattr(trainer, "step_count", 3), {"0.weight": 3}),
        (lambda trainer: setattr(trainer, "step_count", 50), {"0.weight": 5}),
        (lambda trainer: trainer.load_state_dict(trainer.state_dict() | {"missed_updates": {}}), {}),
    ):
        trainer = thawed()
        change(trainer)
        assert trainer.state_dict()["missed_updates"] == left
        fit(trainer)
        assert trainer.state_dict()["missed_updates"] == left
        assert len(set(trainer.as_update().groups.values())) == 1 + bool(left)
    trainer = thawed()
    trainer.lr = 1e300
    with pytest.raises(fastnn.TrainingDiverged), np.errstate(all="ignore"):
        fit(trainer, 30)
    assert trainer.state_dict()["missed_updates"] == {}


@pytest.mark.parametrize("groups", [(), (optim.Group("0.*", weight_decay=0.5),)])
@pytest.mark.parametrize("average", [None, optim.EMA(0.9), optim.SWA(1)])
@pytest.mark.parametrize("name", sorted(optim.OPTIMIZERS))
def test_the_number_of_scalars_is_that_of_a_row(name, average, groups):
    """As executors refuse any other."""
    trainer = fastnn.Trainer(deep(), optimizer=optim.OPTIMIZERS[name](groups=groups), average=average)
    missed = {"step_count": 9, "missed_updates": {"0.weight": 7, "3.weight": 7, "3.bias": 2}}
    for state in ({}, missed):
        trainer.load_state_dict(trainer.state_dict() | state)
        update = trainer.as_update()
        assert update.n_groups == 1 + len(groups) + (2 + len(groups) if state else 0)
        assert update.n_scalars == trainer.scalars(3)[1].shape[1]


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ([], TypeError, r"state_dict\['missed_updates'\] must be a mapping of parameters' names to numbers of updates"),
        (
            {"9.weight": 1},
            ValueError,
            r"a key of state_dict.* must be one of 0\.weight, .*, got '9\.weight'",
        ),
        ({3: 1}, TypeError, r"a key of state_dict\['missed_updates'\] must be one of 0\.weight"),
        ({"0.weight": 1.5}, TypeError, r"state_dict\['missed_updates'\]\['0\.weight'\] must be an integer"),
        ({"0.weight": -1}, ValueError, r"state_dict\['missed_updates'\]\['0\.weight'\] must be an integer"),
        ({"0.weight": 6}, ValueError, r"state_dict\['missed_updates'\]\['0\.weight'\] must be an integer from 0 to 5"),
    ],
)
def test_bad_states_are_refused(value, error, message):
    trainer = fastnn.Trainer(deep())
    fit(trainer)
    with pytest.raises(error, match=f"^{message}"):
        trainer.load_state_dict(trainer.state_dict() | {"missed_updates": value})
    assert trainer.state_dict()["missed_updates"] == {}


def test_sets_of_scalars():
    """Parameters of one group that missed the same share a set; sparse tables have sets of their own."""
    missed = MissedUpdates().with_frozen(frozenset("abc"), 3).with_frozen(frozenset("cd"), 10)
    assert missed.at(12) == {"a": 7, "b": 7, "c": 9, "d": 2}
    groups = {"a": 1, "b": 1, "c": 0, "d": 0, "e": 2}
    assert missed.sets(groups, 3) == ({**groups, "a": 3, "b": 3}, ((1, 7),))
    thawed = missed.with_frozen(frozenset(), 12)
    assert thawed.sets(groups, 3) == ({"a": 3, "b": 3, "c": 4, "d": 5, "e": 2}, ((1, 7), (0, 9), (0, 2)))
    # An executor may stay where such a record is replaced by an equal one.
    swapped = MissedUpdates(missed.frozen, missed.since, dict(reversed(missed.before.items())))
    assert swapped == missed
    assert swapped.with_frozen(frozenset(), 12).sets(groups, 3) == thawed.sets(groups, 3)
    optimizer = optim.AdamW(0.1, groups=[optim.Group("a", lr_scale=0.5), optim.NO_DECAY])
    table = optimizer.table(np.arange(20, 23), np.array([0.1, 0.2, 0.3]), missed=((1, 7), (0, 9)))
    alone = [optimizer.table(np.arange(20, 23) - n, np.array([0.1, 0.2, 0.3])).reshape(3, 3, -1) for n in (0, 7, 9)]
    np.testing.assert_array_equal(table.reshape(3, 5, -1)[:, :3], alone[0])
    np.testing.assert_array_equal(table.reshape(3, 5, -1)[:, 3], alone[1][:, 1])
    np.testing.assert_array_equal(table.reshape(3, 5, -1)[:, 4], alone[2][:, 0])


def test_sparse_tables(impl):
    """A table that is thawed after some steps: Adam's sparse update, with its own count."""

    def make():
        table = nn.Columns([WIDTH], nn.Embedding(4, 2, sparse=True))
        inputs = nn.Parallel(nn.Columns(range(WIDTH)), table)
        net = nn.Sequential(inputs, nn.Dense(WIDTH + 2, OUTPUTS), dtype="float64", seed=1)
        return net, fastnn.Trainer(net, optimizer=optim.Adam(0.01, eps=1e-14), clip_norm=10.0)

    x = np.column_stack([X, np.arange(len(X)) % 3])  # the last row of the table is in no batch
    net, trainer = make()
    net.freeze("0.*")
    before = net.parameters()["0.1.0.weight"].copy()
    trainer.fit(x, Y, epochs=3, batch_size=BATCH, verbose=0)
    np.testing.assert_array_equal(net.parameters()["0.1.0.weight"], before)
    net.unfreeze()
    stop = At(_16=lambda net: net.freeze("0.*"))
    trainer.fit(x, Y, epochs=1, batch_size=BATCH, verbose=0, callbacks=[stop])
    moved = np.abs(net.parameters()["0.1.0.weight"] - before)
    np.testing.assert_allclose(moved[:3], 0.01, rtol=1e-6)
    assert not moved[3].any()
    assert trainer.state_dict()["missed_updates"] == {"0.1.0.weight": 19}


# ---- full-batch optimisers ----

FULL_BATCH = {"lbfgs": lambda: optim.LBFGS(tol=1e-10), "newton": lambda: optim.Newton(tol=1e-10)}


@pytest.mark.parametrize("kind", FULL_BATCH)
def test_full_batch_optimisers_leave_them_out(impl, kind):
    """Least squares with a given bias and, of two layers, a given first one: the solution is known."""
    if kind == "lbfgs":
        pytest.importorskip("scipy")
    features = nn.Sequential(nn.Dense(WIDTH, 4), nn.BatchNorm(4), "tanh", dtype="float64", seed=0)
    net = nn.Sequential(*features, nn.Dense(4, 1), dtype="float64", seed=0)
    net[1].running_mean[...], net[1].running_var[...] = 0.1, 2.0
    net[3].bias[...] = 0.7
    net.freeze("[01].*", "3.bias")
    before, state, h = arrays(net), net.state.data.copy(), net[:3].predict(X)
    target = X[:, :1] + 0.5
    penalty = optim.Penalty(l2=0.01)
    trainer = fastnn.Trainer(net, "mean_squared_error", FULL_BATCH[kind](), penalty=penalty)
    trainer.fit(X, target, epochs=100, verbose=0)
    want = np.linalg.solve(2 * h.T @ h / len(X) + 0.01 * np.eye(4), 2 * h.T @ (target - 0.7) / len(X))
    np.testing.assert_allclose(net[3].weight, want, rtol=1e-6, atol=1e-8)
    for name in net.frozen:
        np.testing.assert_array_equal(net.params.view(name), before[name])
    np.testing.assert_array_equal(net.state.data, state)


def test_full_batch_optimisers_refuse(impl):
    net = nn.Sequential(nn.Dense(WIDTH, 5), nn.BatchNorm(5), nn.Dense(5, 400), nn.Dense(400, OUTPUTS), seed=0)
    want = "^net must have no BatchNorm and no Dropout with Newton"
    with pytest.raises(ValueError, match=want):
        fastnn.Trainer(net, optimizer=optim.Newton())
    net.freeze("1.*", "2.*")
    trainer = fastnn.Trainer(net, optimizer=optim.Newton())  # the others are less than 2000
    net.unfreeze("1.*")
    with pytest.raises(ValueError, match=want):
        fit(trainer)
    net.freeze("1.*")
    net.unfreeze("2.*")
    with pytest.raises(ValueError, match=r"^net must have at most 2000 parameters for Newton, got 3638"):
        fit(trainer)
    net.freeze()
    with pytest.raises(ValueError, match=r"^net must have a parameter that is not"):
        fit(trainer)
    net.unfreeze("3.bias")
    with pytest.raises(RuntimeError, match=r"^a callback has changed what is frozen during a fit with Newt"):
        fit(trainer, 5, callbacks=[At(_1=lambda net: net.unfreeze("0.*"))])
    net.freeze()
    net.unfreeze("3.bias")
    fit(trainer, 2)
