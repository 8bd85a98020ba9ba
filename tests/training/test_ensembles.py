"""Ensembles: their mean and its theorems, disagreement against plain formulas, and the seeds and rows of members."""

import math
import pickle

import numpy as np
import pytest

import fastnn
from fastnn import nn, optim
from fastnn.training import ensembles, evaluation

OUT = 3
X = np.random.default_rng(0).normal(size=(60, 4))
LABELS = np.arange(60) % OUT
NUMBERS = X @ np.random.default_rng(1).normal(size=(4, OUT))


def build(seed):
    net = nn.Sequential(nn.Dense(4, 6), nn.Dropout(0.1), nn.Tanh(), nn.Dense(6, OUT), dtype="float64", seed=seed)
    return fastnn.Trainer(net, optimizer=optim.Adam(0.02))


def nets(n=4, dtype="float64"):
    return [nn.Sequential(nn.Dense(4, OUT, init=nn.init.normal(std=2.0)), dtype=dtype, seed=s) for s in range(n)]


def softmax(z):
    return [math.exp(each) / sum(math.exp(other) for other in z) for each in z]


def sigmoid(z):
    return [1 / (1 + math.exp(-each)) for each in z]


def entropy(p):
    return -sum(each * math.log(each) for each in p if each > 0)


def mean(values):
    return sum(values) / len(values)


def columns(ps):
    return list(zip(*ps, strict=True))


def yes_no(p):
    return [p, 1 - p]


# (output, kind) -> the disagreement of the members' outputs for one row
FORMULAS = {
    ("raw", "variance"): lambda zs: [mean([(z - mean(c)) ** 2 for z in c]) for c in columns(zs)],
    ("softmax", "variance"): lambda zs: [
        mean([(p - mean(c)) ** 2 for p in c]) for c in columns([softmax(z) for z in zs])
    ],
    ("softmax", "mutual_information"): lambda zs: (
        entropy([mean(c) for c in columns([softmax(z) for z in zs])]) - mean([entropy(softmax(z)) for z in zs])
    ),
    ("softmax", "vote_entropy"): lambda zs: entropy(
        [mean([float(z.index(max(z)) == c) for z in zs]) for c in range(OUT)]
    ),
    ("sigmoid", "mutual_information"): lambda zs: [
        entropy(yes_no(mean(c))) - mean([entropy(yes_no(p)) for p in c]) for c in columns([sigmoid(z) for z in zs])
    ],
    ("sigmoid", "vote_entropy"): lambda zs: [entropy(yes_no(mean([float(z > 0) for z in c]))) for c in columns(zs)],
}


@pytest.mark.parametrize("case", FORMULAS, ids="-".join)
def test_disagreement_is_the_formula(impl, case, monkeypatch):
    output, kind = case
    ensemble = fastnn.Ensemble(nets(), output)
    zs = [net.predict(X).tolist() for net in ensemble.members]
    want = [FORMULAS[case]([z[row] for z in zs]) for row in range(len(X))]
    have = ensemble.disagreement(X, kind)
    np.testing.assert_allclose(have, want, rtol=1e-10, atol=1e-14)
    assert have.min() >= 0
    assert np.ptp(have) > 0.01
    monkeypatch.setattr(ensembles, "ELEMENTS", 5 * 4 * OUT)  # in chunks of five rows
    np.testing.assert_array_equal(ensemble.disagreement(X, kind), have)


@pytest.mark.parametrize(("output", "one"), [("raw", list), ("softmax", softmax), ("sigmoid", sigmoid)])
def test_prediction_is_the_mean(impl, output, one, dtype):
    ensemble = fastnn.Ensemble(nets(dtype=dtype), output)
    zs = [net.predict(X).tolist() for net in ensemble.members]
    want = [[mean(c) for c in columns([one(z[row]) for z in zs])] for row in range(len(X))]
    have = ensemble.predict(X)
    assert have.dtype == np.float64
    np.testing.assert_allclose(have, want, rtol=1e-13)
    np.testing.assert_allclose(ensemble.predict_members(X).mean(axis=0), have, rtol=1e-15)
    alone = ensemble.predict(X[7:8])
    np.testing.assert_allclose(alone, have[7:8], rtol=0 if impl != "reference" else 1e-5)
    assert ensemble.predict(X[:0]).shape == (0, OUT)


@pytest.mark.parametrize("members", [1, 2, 9])
@pytest.mark.parametrize("output", ["raw", "softmax", "sigmoid"])
def test_bits_of_single_rows_and_predictors(native, output, members):
    """A row's mean does not depend on the other rows, for members of both dtypes."""
    ensemble = fastnn.Ensemble([*nets(members - 1), *nets(1, "float32")], output=output)
    whole = ensemble.predict(np.tile(X, (5, 1)))[: len(X)]
    p = ensemble.predictor()
    for call in (ensemble.predict, ensemble, p):
        for step in (1, 7, 60):
            np.testing.assert_array_equal(np.concatenate([call(X[i : i + step]) for i in range(0, 60, step)]), whole)
        out = np.empty((3, OUT))
        assert call(X[:3], out) is out
        np.testing.assert_array_equal(out, whole[:3])
    assert ensemble._plain.now(X[:3], None, ensemble._attributes) is not None


def test_predictors_take_values_and_scalers_at_update(impl):
    ensemble = fastnn.Ensemble(nets(), output="raw")
    for n in (1, 60):
        x = X[:n]
        p, before = ensemble.predictor(rows=60), ensemble.predict(x)
        for net in ensemble:
            net[0].bias[...] += 1
            net.output_scaler = fastnn.data.Scaler(1.0, 2.0)
        np.testing.assert_array_equal(p(x), before)
        p.update()
        np.testing.assert_array_equal(p(x), ensemble.predict(x))
        assert (p(x) != before).all()
    with pytest.raises(ValueError, match="x must have at most 60 rows"):
        p(np.zeros((61, 4)))


def test_an_output_scaler_has_no_probabilities(impl):
    ensemble = fastnn.Ensemble(nets(), output="softmax")
    ensemble.predict(X[:1])
    p = ensemble.predictor()
    ensemble.members[1].output_scaler = fastnn.data.Scaler(1.0, 2.0)
    with pytest.raises(ValueError, match=r"members\[1\] must have no output_scaler"):
        ensemble.predict(X[:1])
    with pytest.raises(ValueError, match=r"members\[1\] must have no output_scaler"):
        ensemble.predictor()
    p.update()
    with pytest.raises(ValueError, match=r"members\[1\] must have no output_scaler"):
        p(X[:1])


def test_out_is_checked(impl):
    ensemble = fastnn.Ensemble(nets())
    for call in (ensemble.predict, ensemble.predictor()):
        for out, message in (
            (np.empty((1, OUT), np.float32), "out must have dtype float64"),
            (np.empty((2, OUT)), "out must have shape"),
            (np.empty((1, 2 * OUT))[:, ::2], "out must be C-contiguous"),
        ):
            for _ in range(2):
                with pytest.raises((TypeError, ValueError), match=message):
                    call(X[:1], out)
    with pytest.raises(ValueError, match=r"out must share no memory with the parameters of members\[0\]"):
        ensemble.predict(X[:1], ensemble.members[0][0].weight[:1])


def test_an_ensemble_is_a_sequence_of_nets_and_can_be_called():
    ensemble = fastnn.Ensemble(nets(3), "softmax")
    assert len(ensemble) == 3 and list(ensemble) == list(ensemble.members)
    assert ensemble[0] is ensemble.members[0] and ensemble[-1] is ensemble.members[2]
    assert repr(ensemble) == "Ensemble(3 nets, output='softmax')"
    np.testing.assert_array_equal(ensemble(X), ensemble.predict(X))
    with pytest.raises(IndexError):
        ensemble[3]
    with pytest.raises(TypeError, match=r"^the index of a member must be an integer, got a slice: write fastnn.Ens"):
        ensemble[:2]


WEIGHTS = np.random.default_rng(2).uniform(1, 2, 60)
BINARY = (NUMBERS > 0).astype(float)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize(
    ("output", "loss", "y", "formula"),
    [
        ("softmax", None, LABELS, lambda p: -np.log(p[np.arange(60), LABELS])),
        ("softmax", "cross_entropy", LABELS, lambda p: -np.log(p[np.arange(60), LABELS])),
        ("softmax", "mean_squared_error", np.eye(OUT)[LABELS], lambda p: ((p - np.eye(OUT)[LABELS]) ** 2).mean(axis=1)),
        (
            "sigmoid",
            None,
            BINARY,
            lambda p: -(BINARY * np.log(p) + (1 - BINARY) * np.log(1 - p)).mean(axis=1),
        ),
        ("raw", "mean_squared_error", NUMBERS, lambda p: ((p - NUMBERS) ** 2).mean(axis=1)),
    ],
)
def test_evaluate_is_the_loss_of_the_mean(impl, dtype, monkeypatch, output, loss, y, formula, weights):
    ensemble = fastnn.Ensemble(nets(dtype=dtype), output)
    given = {} if loss is None else {"loss": loss}
    figures = ensemble.evaluate(X, y, sample_weight=weights, **given)
    p = ensemble.predict(X)
    assert figures["loss"] == pytest.approx(np.average(formula(p), weights=weights), rel=1e-10)
    if y is LABELS:
        assert figures["accuracy"] == pytest.approx(np.average(p.argmax(axis=1) == y, weights=weights))
    monkeypatch.setattr(evaluation, "EVALUATE_ELEMENTS", 7 * OUT)  # in chunks of seven rows
    assert ensemble.evaluate(X, y, sample_weight=weights, **given)["loss"] == pytest.approx(figures["loss"], rel=1e-10)


def test_evaluate_computes_metrics(impl):
    ensemble = fastnn.Ensemble(nets(), "softmax")
    figures = ensemble.evaluate(X, LABELS, metrics={"total": lambda y, z: np.exp(z).sum(axis=1).mean()})
    assert figures["total"] == pytest.approx(1.0)
    alone = fastnn.Ensemble(nets(1))
    wanted = fastnn.Trainer(nets(1)[0]).evaluate(X, LABELS)
    assert alone.evaluate(X, LABELS, loss="cross_entropy") == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("output", "arguments", "message"),
    [
        ("raw", {}, r"loss must be given for the output 'raw', got None: write loss="),
        ("softmax", {"loss": "gini"}, r"loss must be one of .*, got 'gini'"),
        ("softmax", {"sample_weight": [1.0]}, r"sample_weight must .*"),
        ("softmax", {"metrics": len}, r"metrics must .*"),
    ],
)
def test_what_evaluate_refuses(output, arguments, message):
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        fastnn.Ensemble(nets(), output).evaluate(X, LABELS, **arguments)
    with pytest.raises(TypeError):
        fastnn.Ensemble(nets(), output).evaluate(X, LABELS, "cross_entropy")


def test_members_that_agree(impl):
    net = nets(1)[0]
    ensemble = fastnn.Ensemble([net] * 3, "softmax")
    assert ensemble.disagreement(X, "variance").max() < 1e-30
    assert ensemble.disagreement(X, "mutual_information").max() < 1e-14
    assert ensemble.disagreement(X, "vote_entropy").max() == 0
    # Each member is certain of another class: all of the entropy is disagreement.
    certain = [
        nn.Sequential(nn.Dense(1, 3, bias_init=lambda shape, random, k=k: 900.0 * np.eye(3)[k]), seed=0)
        for k in range(3)
    ]
    ensemble = fastnn.Ensemble(certain, "softmax")
    for kind in ("mutual_information", "vote_entropy"):
        np.testing.assert_allclose(ensemble.disagreement([[0.0]], kind), [math.log(3)], rtol=1e-14)


def test_the_error_of_the_mean_is_smaller_by_the_variance(impl):
    """Krogh and Vedelsby's identity, for any targets; and Jensen's inequality for the cross entropy."""
    ensemble = fastnn.Ensemble(nets())
    members = ((ensemble.predict_members(X) - NUMBERS) ** 2).mean()
    mean = ((ensemble.predict(X) - NUMBERS) ** 2).mean()
    assert mean == pytest.approx(members - ensemble.disagreement(X).mean(), rel=1e-12)
    ensemble = fastnn.Ensemble(nets(), "softmax")
    members = -np.log(ensemble.predict_members(X)[:, np.arange(60), LABELS])
    mean = -np.log(ensemble.predict(X)[np.arange(60), LABELS])
    assert (mean <= members.mean(axis=0)).all()
    assert mean.mean() < members.mean() - 0.01


@pytest.mark.parametrize("bagging", [False, True])
def test_fit_is_a_function_of_its_arguments(impl, bagging):
    def fitted(threads=1, **change):
        settings = {"members": 3, "seed": 5, "bagging": bagging, "epochs": 2, "batch_size": 16, "verbose": 0} | change
        with fastnn.num_threads(threads):
            return fastnn.Ensemble.fit(build, X, LABELS, **settings)

    first = fitted()
    assert [net.seed for net in first.members] == [5, 6, 7]
    assert [len(history.epochs) for history in first.histories] == [2] * 3
    for other in (fitted(), fitted(threads=2)):
        np.testing.assert_array_equal(first.predict_members(X), other.predict_members(X))
    other = fitted(seed=9).predict_members(X)
    assert not np.isin(other, first.predict_members(X)).any()
    assert first.disagreement(X).min() > 0


def test_members_equal_nets_trained_alone(impl):
    ensemble = fastnn.Ensemble.fit(build, X, LABELS, members=2, seed=5, epochs=2, batch_size=16, verbose=0)
    for net, history in zip(ensemble.members, ensemble.histories, strict=True):
        alone = build(net.seed)
        alone.fit(X, LABELS, epochs=2, batch_size=16, verbose=0)
        np.testing.assert_array_equal(alone.net.params.data, net.params.data)
        assert alone.history["loss"] == history["loss"]


def test_bagging_draws_rows_with_replacement(impl):
    """Each member gets n other rows, of which a share of 1 - 1/e is distinct, with their y and weights."""
    n, seen = 2000, []

    class Trainer(fastnn.Trainer):
        def fit(self, X, y, sample_weight, **settings):
            seen.append(X[:, 0].astype(int))
            np.testing.assert_array_equal(X[:, 0], y[:, 0])
            np.testing.assert_array_equal(X[:, 0] + 1, sample_weight)
            return super().fit(X[:9], y[:9], sample_weight=sample_weight[:9], **settings)

    def build(seed):
        return Trainer(nn.Sequential(nn.Dense(1, 1), seed=seed), "mean_squared_error")

    numbers = np.arange(n, dtype=float)[:, None]
    settings = {"members": 3, "bagging": True, "sample_weight": numbers[:, 0] + 1, "epochs": 1, "verbose": 0}
    fastnn.Ensemble.fit(build, numbers, numbers, **settings)
    for rows in seen:
        assert len(rows) == n
        # The share of rows not drawn has mean 1/e and a standard deviation below 1 / (2 sqrt(n)).
        assert abs(len(np.unique(rows)) / n - (1 - 1 / math.e)) < 5 / (2 * math.sqrt(n))
        assert abs(rows.mean() / n - 0.5) < 5 / math.sqrt(12 * n)
    assert abs(np.corrcoef(seen)[~np.eye(3, dtype=bool)]).max() < 5 / math.sqrt(n)


def test_callbacks_are_reset_for_each_member():
    stopping, plateau = fastnn.EarlyStopping("loss", patience=3), fastnn.ReduceLROnPlateau("loss", patience=0)
    ensemble = fastnn.Ensemble.fit(
        build, X, LABELS, members=3, epochs=6, callbacks=[stopping, plateau], verbose=0, validation_data=(X, LABELS)
    )
    for net, history in zip(ensemble.members, ensemble.histories, strict=True):
        alone = build(net.seed)
        alone.fit(
            X, LABELS, epochs=6, verbose=0,
            callbacks=[fastnn.EarlyStopping("loss", patience=3), fastnn.ReduceLROnPlateau("loss", patience=0)],
        )  # fmt: skip
        assert alone.history["lr"] == history["lr"]
        np.testing.assert_array_equal(alone.net.params.data, net.params.data)


def test_pickle_and_repr():
    ensemble = fastnn.Ensemble(nets(), "softmax")
    twin = pickle.loads(pickle.dumps(ensemble))
    np.testing.assert_array_equal(twin.predict(X), ensemble.predict(X))
    assert (len(twin), repr(twin)) == (4, "Ensemble(4 nets, output='softmax')")


@pytest.mark.parametrize("output", ["raw", "softmax", "sigmoid"])
def test_nets_without_seeds_disagree(output):
    def unseeded(seed):
        return fastnn.Trainer(nn.Sequential(nn.Dense(4, OUT)), "cross_entropy")

    made = fastnn.Ensemble([unseeded(0).net for _ in range(5)], output)
    trained = fastnn.Ensemble.fit(unseeded, X, LABELS, members=3, output=output, epochs=1, verbose=0)
    drawn = [
        fastnn.Ensemble.fit(build, X, LABELS, members=3, seed=None, output=output, epochs=1, verbose=0)
        for _ in range(2)
    ]
    for ensemble in (made, trained, *drawn):
        assert ensemble.disagreement(X).max(axis=0).min() > 0
    assert len({net.seed for ensemble in (made, trained, *drawn) for net in ensemble.members}) == 14
    first = drawn[0].members[0].seed
    again = fastnn.Ensemble.fit(build, X, LABELS, members=3, seed=first, output=output, epochs=1, verbose=0)
    np.testing.assert_array_equal(again.predict(X), drawn[0].predict(X))


def test_ensembles_are_read_only():
    ensemble = fastnn.Ensemble.fit(build, X, LABELS, members=2, epochs=1, verbose=0)
    for name in ("members", "output", "histories"):
        with pytest.raises(AttributeError, match=rf"Ensemble\.{name} is read-only: make a new one, fastnn\.Ensemble\("):
            setattr(ensemble, name, "softmax")
    with pytest.raises(AttributeError, match="no setting kind: its settings are members, output"):
        ensemble.kind = "variance"
    assert ensemble.output == "raw" and len(ensemble.histories) == 2


NET, SHARED = nets(1)[0], build(0)
TRAINED = build(9)
TRAINED.fit(X, LABELS, epochs=1, verbose=0)

REFUSED = {
    "no nets": (ValueError, "members must contain at least one net, got none", lambda: fastnn.Ensemble([])),
    "one net": (TypeError, "members must be a list of nets, got Sequential: write", lambda: fastnn.Ensemble(NET)),
    "a trainer": (
        TypeError, r"members\[1\] must be a Sequential, got Trainer: write trainer\.net",
        lambda: fastnn.Ensemble([NET, SHARED]),
    ),
    "widths": (
        ValueError,
        r"members\[1\] must have 4 inputs and 3 outputs, the widths of members\[0\], got 4 and 2",
        lambda: fastnn.Ensemble([NET, nn.Sequential(nn.Dense(4, 2), seed=0)]),
    ),
    "output": (ValueError, "output must be one of raw, softmax, sigmoid", lambda: fastnn.Ensemble([NET], "logits")),
    "softmax of one": (
        ValueError,
        "output must be 'sigmoid' or 'raw' for nets with one output, got 'softmax': the softmax of one number",
        lambda: fastnn.Ensemble([nn.Sequential(nn.Dense(4, 1), seed=0)], "softmax"),
    ),
    "a generator": (
        TypeError,
        r"seed must be an integer, got Generator: write seed=int\(rng\.integers\(2\*\*63\)\)",
        lambda: fastnn.Ensemble.fit(build, X, LABELS, seed=np.random.default_rng(0)),
    ),
    "kind": (ValueError, "kind must be one of variance", lambda: fastnn.Ensemble([NET]).disagreement(X, "std")),
    "entropy of raw": (
        ValueError,
        "kind must be 'variance' for raw outputs, got 'vote_entropy': make the ensemble with output=",
        lambda: fastnn.Ensemble([NET]).disagreement(X, "vote_entropy"),
    ),
    "X": (ValueError, r"X must have shape \(n, 4\)", lambda: fastnn.Ensemble([NET]).predict(X[:, :3])),
    "members": (
        ValueError,
        "members must be an integer of at least 1, got 0",
        lambda: fastnn.Ensemble.fit(build, X, LABELS, members=0),
    ),
    "build": (
        TypeError, "build must be a function of a seed that returns a Trainer, got Trainer: write lambda seed:",
        lambda: fastnn.Ensemble.fit(SHARED, X, LABELS),
    ),
    "build a net": (
        TypeError,
        r"build must return a Trainer, got Sequential: write fastnn\.Trainer\(net\)$",
        lambda: fastnn.Ensemble.fit(lambda seed: NET, X, LABELS),
    ),
    "the same trainer": (
        ValueError, "build must return a trainer of a new net at each call, got the same one again",
        lambda: fastnn.Ensemble.fit(lambda seed: SHARED, X, LABELS),
    ),
    "a trained one": (
        ValueError,
        "build must return a trainer of a new net at each call, got a trained one",
        lambda: fastnn.Ensemble.fit(lambda seed: TRAINED, X, LABELS, members=1),
    ),
    "one seed": (
        ValueError,
        "build must give each net the seed of the call, got seed 0 again: pass it on",
        lambda: fastnn.Ensemble.fit(lambda seed: build(0), X, LABELS),
    ),
    "rows": (
        ValueError, r"y must have shape \(60,\), got shape \(59,\)",
        lambda: fastnn.Ensemble.fit(build, X, LABELS[1:], bagging=True),
    ),
    "bagging": (
        TypeError, "bagging must be True or False, got 'no'",
        lambda: fastnn.Ensemble.fit(build, X, LABELS, bagging="no"),
    ),
    "rows of X": (
        ValueError, r"X must be 2-dimensional, of shape \(n, in_features\)",
        lambda: fastnn.Ensemble.fit(build, 3.0, 1.0, bagging=True),
    ),
    "flat y": (
        ValueError, "y must have 60 rows, as many as X, got 59", lambda: fastnn.Ensemble.fit(build, X, LABELS[1:])
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_wrong_arguments_are_refused(case):
    error, message, make = REFUSED[case]
    with pytest.raises(error, match=message):
        make()
    assert SHARED.epoch == 0
