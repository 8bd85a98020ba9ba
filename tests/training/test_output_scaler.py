"""Training with an `output_scaler`: scaled targets and losses, metrics in the user's unit, and what is refused."""

import numpy as np
import pytest

import fastnn
from fastnn import nn, optim
from fastnn.data import QuantileScaler, RobustScaler, Scaler

N = 60
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 4))
# Three columns of very different sizes.
Y = np.stack([3e5 + 1e5 * X[:, 0], 1e-3 * X[:, 1] * X[:, 2], np.exp(X[:, 3])], axis=1)
X_NEW, Y_NEW = X[::3] + 0.1, Y[::3] * 1.01
WEIGHT = RNG.uniform(0.5, 2.0, N)


def hand(y, scaler):
    """Return targets scaled by hand."""
    return (np.asarray(y, np.float64) - scaler.center) * scaler.scale


def net_of(outputs=3, scaler=None, dtype="float64"):
    net = nn.Sequential(nn.Dense(4, 8), nn.Tanh(), nn.Dropout(0.1), nn.Dense(8, outputs), dtype=dtype, seed=0)
    net.output_scaler = scaler
    return net


def unit_of(layer, scaler):
    """Return predictions in the user's unit."""
    return layer / scaler.scale + scaler.center


def worst(y, z):
    return np.abs(y - z).max()


LOSSES = {
    "mean_squared_error": "mean_squared_error",
    "mean_absolute_error": "mean_absolute_error",
    "huber": nn.HuberLoss(delta=0.5),
    "log_cosh": "log_cosh",
    "quantile": nn.QuantileLoss(0.75),
    "custom": nn.CustomLoss(lambda z, t: ((z - t) ** 4).sum(axis=1), lambda z, t: 4 * (z - t) ** 3),
    "heads": nn.HeadsLoss([("mean_squared_error", 2), (nn.HuberLoss(), 1, 0.5)]),
}


# ---- it equals a net that is trained on targets scaled by hand ----


@pytest.mark.parametrize("name", LOSSES)
def test_training_equals_that_on_targets_scaled_by_hand(impl, name):
    scaler = Scaler.fit(Y)
    scaled, plain, figures = net_of(scaler=scaler), net_of(), []
    for net, y, y_new in ((scaled, Y, Y_NEW), (plain, hand(Y, scaler), hand(Y_NEW, scaler))):
        trainer = fastnn.Trainer(net, LOSSES[name], optim.Adam(lr=0.01))
        trainer.fit(X, y, epochs=5, batch_size=7, verbose=0, sample_weight=WEIGHT, validation_data=(X_NEW, y_new))
        last = trainer.evaluate(X, y, sample_weight=WEIGHT)["loss"]
        figures.append([*trainer.history["loss"], *trainer.history["val_loss"], last])
    np.testing.assert_allclose(scaled.params.data, plain.params.data, rtol=0, atol=1e-12)
    np.testing.assert_allclose(*figures, rtol=1e-11)
    np.testing.assert_allclose(scaled.predict(X), unit_of(plain.predict(X), scaler), rtol=1e-11)


KINDS = {
    "min_max": lambda y: Scaler.fit(y, "min_max"),
    "robust": lambda y: RobustScaler.fit(y, limit=np.inf),
    "quantile": lambda y: QuantileScaler.fit(y, n_quantiles=12),
    "some columns": lambda y: QuantileScaler.fit(y, columns=[0, 1], nan="center"),
}


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
@pytest.mark.parametrize("kind", KINDS)
def test_all_kinds_of_scalers(impl, kind, optimizer):
    scaler = KINDS[kind](Y)
    nets = [nn.Sequential(nn.Dense(4, 5), nn.Tanh(), nn.Dense(5, 3), dtype="float64", seed=0) for _ in range(2)]
    nets[0].output_scaler, figures = scaler, []
    for net, y in zip(nets, (Y, scaler.transform(Y)), strict=True):
        trainer = fastnn.Trainer(net, "mean_squared_error", optimizer)
        trainer.fit(X, y, epochs=4, batch_size=7, verbose=0)
        assert fastnn.check_gradients(net, X[:5], y[:5], loss="mean_squared_error").ok
        figures.append([*trainer.history["loss"], trainer.evaluate(X, y)["loss"]])
    np.testing.assert_allclose(nets[0].params.data, nets[1].params.data, rtol=0, atol=1e-12)
    np.testing.assert_allclose(*figures, rtol=1e-11)
    mean = fastnn.Ensemble([nets[0]])
    figures = mean.evaluate(X, Y, loss="mean_squared_error", metrics=[worst])
    assert figures["worst"] == worst(Y, scaler.inverse_transform(nets[1].predict(X)))
    assert figures["loss"] == pytest.approx(nn.MSELoss()(scaler.transform(mean.predict(X)), scaler.transform(Y)))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "some columns"])
def test_quantiles_of_targets_in_all_units(impl, kind):
    y = Y[:, :1]
    wide, narrow = (KINDS[kind](each) for each in (np.repeat(y, 3, axis=1), y))
    nets = net_of(scaler=wide), net_of()
    for net, targets in zip(nets, (y, narrow.transform(y)), strict=True):
        fastnn.Trainer(net, nn.QuantileLoss([0.25, 0.5, 0.75])).fit(X, targets, epochs=2, batch_size=7, verbose=0)
    np.testing.assert_allclose(nets[0].params.data, nets[1].params.data, rtol=0, atol=1e-12)


@pytest.mark.parametrize("steps", [1, 2, 3, 9])
def test_every_step_equals_that_on_targets_scaled_by_hand(impl, steps):
    scaler = Scaler.fit(Y)
    nets = net_of(scaler=scaler), net_of()
    for net, y in zip(nets, (Y, hand(Y, scaler)), strict=True):
        trainer = fastnn.Trainer(net, "mean_squared_error", optim.SGD(lr=0.1))
        trainer.fit(X[: 5 * steps], y[: 5 * steps], epochs=1, batch_size=5, verbose=0)
    np.testing.assert_allclose(nets[0].params.data, nets[1].params.data, rtol=0, atol=1e-12)


@pytest.mark.parametrize("optimizer", ["lbfgs", "newton"])
def test_full_batch_fits(impl, optimizer):
    scaler = Scaler.fit(Y)
    nets = [nn.Sequential(nn.Dense(4, 3), nn.Tanh(), nn.Dense(3, 3), dtype="float32", seed=0) for _ in range(2)]
    nets[0].output_scaler = scaler
    histories = [
        fastnn.Trainer(net, "mean_squared_error", optimizer).fit(X, y, epochs=8, verbose=0)["loss"]
        for net, y in zip(nets, (Y, hand(Y, scaler)), strict=True)
    ]
    np.testing.assert_allclose(histories[0], histories[1], rtol=1e-3)
    assert histories[0][-1] < 0.6 * histories[0][0] < 3


def test_uint8_targets(impl, dtype):
    y = RNG.integers(0, 256, (N, 3)).astype(np.uint8)
    scaler = Scaler.fit(y)
    nets = net_of(scaler=scaler, dtype=dtype), net_of(scaler=scaler, dtype=dtype)
    for net, targets in zip(nets, (y, y.astype(dtype)), strict=True):
        fastnn.Trainer(net, "mean_squared_error").fit(X, targets, epochs=2, batch_size=9, verbose=0)
    np.testing.assert_array_equal(nets[0].params.data, nets[1].params.data)
    figures = [fastnn.Trainer(nets[0], "mse").evaluate(X, each, metrics="r2") for each in (y, y.astype(dtype))]
    assert figures[0] == figures[1]


def test_memory_mapped_targets(impl, tmp_path):
    """The file is read in place, and stays as it is."""
    np.save(tmp_path / "y.npy", Y)
    scaler, nets = Scaler.fit(Y), []
    for y in (Y, np.load(tmp_path / "y.npy", mmap_mode="r")):
        net = net_of(scaler=scaler)
        trainer = fastnn.Trainer(net, "mean_squared_error")
        trainer.fit(X, y, epochs=2, batch_size=9, verbose=0, validation_data=(X, y))
        nets.append(net)
    np.testing.assert_array_equal(nets[0].params.data, nets[1].params.data)
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), Y)


def test_targets_stay_as_they_are(impl, dtype):
    """Targets of the net's dtype are no buffers of the training."""
    y = Y.astype(dtype)
    before, net = y.copy(), net_of(scaler=Scaler.fit(Y), dtype=dtype)
    trainer = fastnn.Trainer(net, "mean_squared_error", metrics="mae")
    trainer.fit(X, y, epochs=1, verbose=0, validation_data=(X, y), train_metrics=True)
    trainer.evaluate(X, y)
    fastnn.check_gradients(net, X[:3], y[:3], loss="mean_squared_error", max_per_block=1)
    np.testing.assert_array_equal(y, before)


def test_threads_do_not_matter(native):
    x, y = np.tile(X, (40, 1)), np.tile(Y, (40, 1))
    found = []
    for threads in (1, 3):
        with fastnn.num_threads(threads):
            net = net_of(scaler=Scaler.fit(Y), dtype="float32")
            fastnn.Trainer(net, "mean_squared_error").fit(x, y, epochs=2, batch_size=800, verbose=0)
            found.append((net.params.data.tobytes(), net.predict(x).tobytes()))
    assert found[0] == found[1]


def test_columns_of_all_sizes_are_learned(impl):
    """Without the scaler, the sum of squares is that of the largest column alone."""
    x, y = np.tile(X, (4, 1)), np.tile(Y, (4, 1))
    for scaler in (Scaler.fit(Y), None):
        net = nn.Sequential(nn.Dense(4, 32), nn.Tanh(), nn.Dense(32, 3), seed=0)
        net.output_scaler = scaler
        trainer = fastnn.Trainer(net, "mean_squared_error", optim.Adam(lr=0.01))
        trainer.fit(x, y, epochs=40, batch_size=24, verbose=0)
        r2 = trainer.evaluate(x, y, metrics="r2")["r2"]
        assert r2 > 0.9 if scaler else r2 < 0


# ---- figures ----


def test_metrics_are_in_the_unit_of_the_targets(impl):
    metrics = pytest.importorskip("sklearn.metrics")
    net = net_of(scaler=Scaler.fit(Y))
    trainer = fastnn.Trainer(net, "huber", metrics=["r2", "rmse", "mean_absolute_error", "quantile", worst])
    trainer.fit(X, Y, epochs=3, verbose=0, validation_data=(X_NEW, Y_NEW, WEIGHT[:20]), train_metrics=True)
    z, z_new = net.predict(X), net.predict(X_NEW)
    weighted, last = {"sample_weight": WEIGHT[:20]}, trainer.history.epochs[-1]
    assert last["r2"] == pytest.approx(metrics.r2_score(Y, z), rel=1e-12)
    assert last["val_r2"] == pytest.approx(metrics.r2_score(Y_NEW, z_new, **weighted), rel=1e-12)
    assert last["mean_absolute_error"] == pytest.approx(metrics.mean_absolute_error(Y, z), rel=1e-12)
    error = metrics.mean_squared_error(Y_NEW, z_new, **weighted)
    assert last["val_rmse"] == pytest.approx(np.sqrt(error), rel=1e-12)
    pinball = metrics.mean_pinball_loss(Y_NEW, z_new, alpha=0.5, **weighted)
    assert last["val_quantile"] == pytest.approx(pinball, rel=1e-12)
    assert last["val_worst"] == worst(Y_NEW, z_new)
    scaler = net.output_scaler
    loss = nn.HuberLoss()(hand(z_new, scaler), hand(Y_NEW, scaler), WEIGHT[:20])
    assert last["val_loss"] == pytest.approx(loss, rel=1e-9)
    assert last["loss"] < 1
    assert last["mean_absolute_error"] > 1e3


def test_an_evaluation_in_chunks(impl, monkeypatch):
    trainer = fastnn.Trainer(net_of(scaler=Scaler.fit(Y)), "mean_squared_error")
    whole = trainer.evaluate(X, Y, metrics=["r2", worst])
    monkeypatch.setattr("fastnn.training.evaluation.EVALUATE_ELEMENTS", 21)
    assert trainer.evaluate(X, Y, metrics=["r2", worst]) == pytest.approx(whole, rel=1e-12)


def test_gradients_are_those_of_the_scaled_loss(impl):
    net = net_of(scaler=Scaler.fit(Y))
    report = fastnn.check_gradients(net, X[:5], Y[:5], loss="mean_squared_error", sample_weight=WEIGHT[:5])
    assert report.ok and report.blocks[0].largest < 10  # not 1e10, the square of the targets' size


def test_the_learning_rate_range_test_has_scaled_losses(impl):
    scaler = Scaler.fit(Y)
    found = [
        fastnn.lr_range_test(fastnn.Trainer(net, "mean_squared_error"), X, y, steps=8, batch_size=10)
        for net, y in ((net_of(scaler=scaler), Y), (net_of(), hand(Y, scaler)))
    ]
    np.testing.assert_allclose(found[0].losses, found[1].losses, rtol=1e-9)


def test_quantiles_of_one_target(impl):
    y = Y[:, :1]
    scaler, loss = Scaler.fit(y), nn.QuantileLoss([0.25, 0.5, 0.75])
    nets, figures = (net_of(scaler=Scaler.fit(np.repeat(y, 3, axis=1))), net_of()), []
    for net, targets in zip(nets, (y[:, 0], hand(y, scaler)), strict=True):
        trainer = fastnn.Trainer(net, loss)
        trainer.fit(X, targets, epochs=3, batch_size=7, verbose=0)
        figures.append(trainer.evaluate(X, targets)["loss"])
    np.testing.assert_allclose(nets[0].params.data, nets[1].params.data, rtol=0, atol=1e-12)
    assert figures[0] == pytest.approx(figures[1], rel=1e-11)
    assert nets[0].predict(X).mean() > 1e5


def test_quantiles_in_a_head(impl):
    """The columns of the targets are 0, 1 and 2; those of the outputs 0 and 1 for the first, and one for the others."""
    y = Y[:, [0, 1]]
    wide = np.concatenate([y[:, :1], y[:, :1], y[:, 1:]], axis=1)
    loss = nn.HeadsLoss([(nn.QuantileLoss([0.1, 0.9]), 2), ("mean_absolute_error", 1)])
    nets = net_of(scaler=Scaler.fit(wide)), net_of()
    for net, targets in zip(nets, (y, hand(y, Scaler.fit(y))), strict=True):
        fastnn.Trainer(net, loss).fit(X, targets, epochs=3, batch_size=7, verbose=0)
    np.testing.assert_allclose(nets[0].params.data, nets[1].params.data, rtol=0, atol=1e-12)


# ---- what is refused ----

CLASSES, BINARY = np.arange(N) % 3, (Y.mean(axis=0) < Y).astype(float)
LOGITS = "loss must be a loss of outputs in the targets' unit for a net with an output_scaler, got {}"
REFUSED = {
    "cross_entropy": ("cross_entropy", CLASSES, LOGITS.format("CrossEntropyLoss()")),
    "probabilities": ("cross_entropy", np.full((N, 3), 1 / 3), LOGITS.format("CrossEntropyLoss()")),
    "binary_cross_entropy": ("binary_cross_entropy", BINARY, LOGITS.format("BCEWithLogitsLoss()")),
    "log_loss": ("log_loss", CLASSES, LOGITS.format("LogLoss()")),
    "multi_margin": ("multi_margin", CLASSES, LOGITS.format("MultiMarginLoss()")),
    "hinge": ("hinge", 2 * BINARY - 1, LOGITS.format("HingeLoss()")),
    "squared_hinge": ("squared_hinge", 2 * BINARY - 1, LOGITS.format("SquaredHingeLoss()")),
    "poisson": ("poisson", np.abs(Y), LOGITS.format("PoissonNLLLoss()")),
    "rates": (nn.PoissonNLLLoss(log_input=False), np.abs(Y), LOGITS.format("PoissonNLLLoss(log_input=False)")),
    "custom labels": (nn.CustomLoss(np.add, np.add, target="labels"), CLASSES, LOGITS.format("CustomLoss(")),
    "heads": (
        nn.HeadsLoss([("mean_squared_error", 1), ("cross_entropy", 2)]),
        np.stack([Y[:, 0], CLASSES % 2], axis=1),
        LOGITS.format("CrossEntropyLoss()").replace("loss must", "heads[1] must"),
    ),
    "custom columns": (
        nn.CustomLoss(np.add, np.add, target_columns=1),
        Y[:, :1],
        "loss must take a target for each of the 3 outputs for a net with an output_scaler, got 1 in CustomLoss(",
    ),
    "quantiles": (
        nn.QuantileLoss([0.25, 0.5, 0.75]),
        Y[:, :1],
        "output_scaler must scale outputs 0 to 2 alike, as all of them predict column 0 of y, got other numbers",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_losses_without_a_unit_are_refused(name):
    loss, y, message = REFUSED[name]
    net = net_of(scaler=Scaler.fit(Y))
    trainer, before = fastnn.Trainer(net, loss), net.params.data.copy()
    calls = {
        "fit": lambda: trainer.fit(X, y, verbose=0),
        "validation": lambda: trainer.fit(X, y, verbose=0, validation_data=(X, y)),
        "evaluate": lambda: trainer.evaluate(X, y),
        "gradients": lambda: fastnn.check_gradients(net, X, y, loss=loss),
        "range": lambda: fastnn.lr_range_test(trainer, X, y),
        "ensemble": lambda: fastnn.Ensemble([net]).evaluate(X, y, loss=loss),
    }
    for call in calls.values():
        with pytest.raises(ValueError) as caught:
            call()
        assert message in str(caught.value)
    np.testing.assert_array_equal(net.params.data, before)
    assert trainer.epoch == 0
    net.output_scaler = None
    if "custom" not in name:
        fastnn.Trainer(net, loss).evaluate(X, y)


def test_the_loss_is_refused_before_its_targets():
    """The default loss takes classes: that the targets are none is not what is wrong."""
    with pytest.raises(ValueError, match=r"^loss must be a loss .* or for real targets \"mean_squared_error\"$"):
        fastnn.Trainer(net_of(scaler=Scaler.fit(Y))).fit(X, Y, verbose=0)


def test_probabilities_are_refused():
    trainer = fastnn.Trainer(net_of(scaler=Scaler(0.0, 2.0)))
    with pytest.raises(ValueError, match=r"^loss must be a loss of outputs in the targets' unit"):
        trainer.predict_proba(X)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_targets_are_finite(bad):
    y = Y.copy()
    y[5, 1] = bad
    with pytest.raises(ValueError, match=r"^y must contain finite numbers"):
        fastnn.Trainer(net_of(scaler=Scaler.fit(Y)), "mse").fit(X, y, verbose=0)


def test_targets_too_large_once_scaled_are_a_loss_that_is_not_finite(impl):
    net = net_of(scaler=Scaler(0.0, 1e30), dtype="float32")
    before = net.params.data.copy()
    with pytest.raises(fastnn.TrainingDiverged):
        fastnn.Trainer(net, "mse").fit(X, 1e20 * np.ones((N, 3)), verbose=0)
    np.testing.assert_array_equal(net.params.data, before)


# ---- set by a callback ----


class At(fastnn.Callback):
    """Calls a function at the end of an epoch."""

    def __init__(self, epoch, act):
        self.epoch, self.act = epoch, act

    def on_epoch_end(self, trainer, logs):
        if trainer.epoch == self.epoch:
            self.act(trainer.net)


def test_one_set_during_a_fit_applies_from_the_next_step(impl):
    first, second = Scaler.fit(Y), Scaler(3e5, 1e-5)
    at_once, in_two = (fastnn.Trainer(net_of(scaler=first), "mean_squared_error") for _ in range(2))
    data = {"batch_size": 7, "verbose": 0, "validation_data": (X_NEW, Y_NEW)}
    at_once.fit(X, Y, epochs=4, callbacks=[At(2, lambda net: setattr(net, "output_scaler", second))], **data)
    in_two.fit(X, Y, epochs=2, **data)
    in_two.net.output_scaler = second
    in_two.fit(X, Y, epochs=2, **data)
    np.testing.assert_array_equal(at_once.net.params.data, in_two.net.params.data)
    assert at_once.history["val_loss"] == in_two.history["val_loss"]


def test_one_set_during_a_fit_is_checked(impl):
    trainer = fastnn.Trainer(net_of(), "poisson")
    act = At(2, lambda net: setattr(net, "output_scaler", Scaler(0.0, 2.0)))
    with pytest.raises(ValueError, match=r"^loss must be a loss of outputs in the targets' unit"):
        trainer.fit(X, np.abs(Y), epochs=4, verbose=0, callbacks=[act])
    assert trainer.epoch == 2


# ---- ensembles ----


def test_ensembles(impl):
    scaler = Scaler.fit(Y)
    ensemble = fastnn.Ensemble.fit(
        lambda seed: fastnn.Trainer(seeded(scaler, seed), "mean_squared_error"), X, Y, members=3, epochs=3, verbose=0
    )
    each = np.stack([net.predict(X).astype(np.float64) for net in ensemble])
    np.testing.assert_array_equal(ensemble.predict_members(X), each)
    np.testing.assert_allclose(ensemble.predict(X), each.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(ensemble.disagreement(X), each.var(axis=0), rtol=1e-10)
    figures = ensemble.evaluate(X, Y, loss="mean_squared_error", metrics=["rmse"])
    mean = ensemble.predict(X)
    assert figures["rmse"] == pytest.approx(np.sqrt(((mean - Y) ** 2).mean()), rel=1e-12)
    scaler = ensemble[0].astype("float64").output_scaler  # what the nets compute with
    assert figures["loss"] == pytest.approx(((hand(mean, scaler) - hand(Y, scaler)) ** 2).mean(), rel=1e-9)


def seeded(scaler, seed):
    net = nn.Sequential(nn.Dense(4, 5), nn.Tanh(), nn.Dense(5, 3), seed=seed)
    net.output_scaler = scaler
    return net


@pytest.mark.parametrize("other", [None, Scaler(1.0, 2.0)])
def test_ensembles_of_different_scalers_have_predictions_but_no_loss(other):
    ensemble = fastnn.Ensemble([seeded(Scaler.fit(Y), 0), seeded(other, 1)])
    assert ensemble.predict(X).shape == (N, 3)
    message = (
        r"^members\[1\] must have the output_scaler of members\[0\], as the loss is in scaled units, got .*predict"
    )
    with pytest.raises(ValueError, match=message):
        ensemble.evaluate(X, Y, loss="mean_squared_error")


@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
def test_ensembles_of_probabilities_refuse_it(output):
    ensemble = fastnn.Ensemble([seeded(None, 0), seeded(Scaler(1.0, 2.0), 1)], output=output)
    with pytest.raises(
        ValueError, match=rf"^members\[1\] must have no output_scaler for the output '{output}', got Sca"
    ):
        ensemble.predict(X)
