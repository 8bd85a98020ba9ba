"""Predictors, and the plain calls of nets: their bits, what they refuse, threads, handlers and forks."""

import copy
import gc
import inspect
import os
import pickle
import signal
import sys
import threading
import weakref

import numpy as np
import pytest
from waiting import until

import fastnn
from fastnn import nn
from tests.nets import NETS, WIDTH
from tests.zoo import LAYOUTS

SINH = nn.CustomActivation(np.sinh, lambda dy, x, y: dy * np.cosh(x))
CASES = {
    **NETS,
    "fused": lambda: [nn.Dense(6, 8), nn.ReLU(), nn.Dropout(0.5), nn.Dense(8, 3), nn.Softmax()],
    "norm first": lambda: [nn.BatchNorm(6), nn.Dense(6, 8, bias=False), nn.BatchNorm(8), nn.GELU(), nn.Dense(8, 2)],
    "input kept": lambda: [nn.Dropout(0.1), nn.Identity(), nn.Dense(6, 4), nn.SiLU()],
    "output is input": lambda: [nn.Columns(range(6), in_features=6)],
    "ids": lambda: [nn.Parallel(nn.Columns([1], nn.Embedding(6, 2)), nn.Columns([0, 2, 3, 4, 5])), nn.Dense(7, 3)],
    "custom": lambda: [nn.Dense(6, 5), SINH, nn.Dense(5, 2)],
}
SCALER = fastnn.data.Scaler(0.25, 0.5)


def net_of(name, dtype="float32", seed=3, scaled=False):
    net = nn.Sequential(*CASES[name](), dtype=dtype, seed=seed)
    rng = np.random.default_rng(seed)
    for key, array in {**net.parameters(), **net.state.views()}.items():
        array += 0.3 * rng.normal(size=array.shape)
        if key.endswith("running_var"):
            array[...] = array**2 + 0.1
    if scaled:
        net.output_scaler = fastnn.data.Scaler(0.75, 3.0)
        net.scaler = None if net.id_columns else SCALER
    return net


def rows_of(net, n, kind="float32"):
    x = np.random.default_rng(n).normal(size=(n, net.in_features)) * 3
    for each in net.id_columns:
        x[:, each.column] = np.arange(n) % each.size
    return np.abs(x).astype(kind) if kind == "uint8" else x.astype(kind)


@pytest.mark.sampled(5)
@pytest.mark.parametrize(("dtype", "scaled"), [("float32", False), ("float64", True), ("float32", True)])
@pytest.mark.parametrize("name", CASES)
def test_bits_are_those_of_predict(impl, dtype, name, scaled):
    net = net_of(name, dtype, scaled=scaled)
    for kind in ("float32", "float64", "uint8"):
        x = rows_of(net, 520, kind)
        expected = net.predict(x)
        for p in (net.predictor(), net.predictor(rows=520)):
            for n in (1, 64, 520):
                parts = [x[i : i + n] for i in range(0, 520 if n > 1 else 10, n)]
                wanted = expected[: sum(map(len, parts))]
                if impl == "reference":  # NumPy's products of few rows have other bits
                    wanted = np.concatenate([net.predict(part) for part in parts])
                for call in (p, net.predict):
                    results = [call(part) for part in parts]
                    assert {result.dtype for result in results} == {np.dtype(dtype)}
                    np.testing.assert_array_equal(np.concatenate(results), wanted)
            out = np.full((3, net.out_features), np.nan, dtype)
            assert p(x[:3], out) is out and p(x[:3], out=out) is out
            np.testing.assert_array_equal(out, net.predict(x[:3]))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_rows_of_any_layout(impl, layout):
    net = net_of("batch norm")
    x = LAYOUTS[layout](rows_of(net, 5))
    np.testing.assert_array_equal(net.predictor()(x), net.predict(np.ascontiguousarray(x, np.float32)))


@pytest.mark.parametrize("name", CASES)
def test_which_calls_are_plain(native, name):
    net = net_of(name)
    x = rows_of(net, 513)
    net.predict(x[:1])
    plain = net._runners.plain

    def now(x, out=None):
        return plain.now(x, out, (net.__dict__,))

    if name == "custom":
        assert now(x[:1]) is None
        return
    out = np.empty((2, net.out_features), np.float32)
    for usual in (x[:1], x[:100], x[:3].astype(np.float64), x[:10:2], LAYOUTS["offset"](x[:2])):
        np.testing.assert_array_equal(now(usual), net.predict(np.ascontiguousarray(usual)))
    assert now(x[:2], out) is out
    for unusual in (x, x[:0], x[0], x[:2, :-1], x[:2].tolist(), LAYOUTS["byte_swapped"](x[:2]), x[:2].astype(int)):
        assert now(unusual) is None
    for other in (out.astype(float), out[:1], out.T.copy().T, LAYOUTS["read_only"](out), LAYOUTS["unaligned"](out)):
        assert now(x[:2], other) is None
    with net.lock.writing():
        assert now(x[:1]) is None
    with fastnn.backend("reference"):
        assert now(x[:1]) is None


def test_ids_that_float32_rounds_are_no_plain_call():
    net = nn.Sequential(nn.Embedding(2**24 + 1, 1), nn.Dense(1, 1), seed=0)
    net.predict(np.zeros((1, 1)))
    for call in (net.predict, net.predictor()):
        with pytest.raises(ValueError, match="must be float64, as column 0 has 16777217 categories"):
            call(np.zeros((1, 1), np.float32))


REFUSED = {
    "one axis": lambda x, out: (x[0],),
    "wide": lambda x, out: (np.hstack([x, x]),),
    "text": lambda x, out: ([["a"] * WIDTH],),
    "out overlaps x": lambda x, out: (x, x[:, : out.shape[1]]),
    "out is the beginning of x": lambda x, out: (x, x.ravel()[: out.size].reshape(out.shape)),
    "out is the end of x": lambda x, out: (x, x.ravel()[-out.size :].reshape(out.shape)),
    "out is a list": lambda x, out: (x, out.tolist()),
    "out of another dtype": lambda x, out: (x, out.astype(float)),
    "out of another shape": lambda x, out: (x, out[:1]),
    "out of one axis": lambda x, out: (x, out.ravel()),
    "out is not writable": lambda x, out: (x, LAYOUTS["read_only"](out)),
    "out is strided": lambda x, out: (x, LAYOUTS["strided"](out)),
    "out is swapped": lambda x, out: (x, LAYOUTS["byte_swapped"](out)),
    "out is a matrix": lambda x, out: (x, np.asmatrix(out)),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_refused_as_predict_refuses(impl, case):
    net = net_of("residual of the input")
    p, x = net.predictor(), rows_of(net, 2)
    p(x), net.predict(x)
    out = np.full((2, net.out_features), 7.0, np.float32)
    arguments = REFUSED[case](x, out)
    with pytest.raises((TypeError, ValueError)) as of_predict:
        net.predict(*arguments)
    with pytest.raises(of_predict.type) as of_predictor:
        p(*arguments)
    assert str(of_predictor.value).replace("x", "X") == str(of_predict.value).replace("x", "X")
    assert (out == 7).all()


def test_out_may_not_be_the_parameters_of_the_net(impl):
    net = nn.Sequential(nn.Dense(2, 2), seed=0)
    x = np.ones((2, 2), np.float32)
    net.predict(x)
    with pytest.raises(ValueError, match="out must share no memory with the net's parameters"):
        net.predict(x, net[0].weight)
    p = net.predictor()  # its values are its own
    np.testing.assert_array_equal(p(x, net[0].weight), p(x))


def test_an_id_that_is_refused(impl):
    net = net_of("ids")
    p, x = net.predictor(), rows_of(net, 2)
    p(x)
    x[1, 1] = 6
    for call in (p, net.predict):
        for _ in range(2):
            with pytest.raises(ValueError, match="column 1"):
                call(x)
    x[1, 1] = 5
    np.testing.assert_array_equal(p(x), net.predict(x))


def test_rows(impl):
    net = net_of("fused")
    p = net.predictor(rows=2)
    assert p.rows == 2 and net.predictor().rows is None
    for x in (np.zeros((3, WIDTH), np.float32), np.zeros((3, WIDTH)).tolist()):
        with pytest.raises(ValueError, match=r"^x must have at most 2 rows, .* got 3: write predictor\(rows=3\)$"):
            p(x)
    for rows in (0, -1, 1.5, "2", True):
        with pytest.raises((TypeError, ValueError), match="rows must be an integer of at least 1"):
            net.predictor(rows=rows)


@pytest.mark.parametrize("name", ["norm first", "fused", "custom"])
def test_update_takes_the_present_values(impl, name):
    net = net_of(name, scaled=True)
    p, x = net.predictor(), rows_of(net, 600)
    expected = {n: net.predict(x[:n]) for n in (1, 600)}
    for seed in range(4, 8):  # from the second update on, snapshots are filled again
        other = net_of(name, seed=seed, scaled=seed % 2)
        net.copy_from(other)
        for n, result in expected.items():
            np.testing.assert_array_equal(p(x[:n]), result)
        p.update()
        expected = {n: other.predict(x[:n]) for n in (1, 600)}
        for n, result in expected.items():
            np.testing.assert_array_equal(p(x[:n]), result)


def test_the_backend_is_that_of_the_making():
    net = net_of("fused")
    x = rows_of(net, 3)
    with fastnn.backend("reference"):
        reference, expected = net.predictor(), net.predict(x)
    assert reference.backend == "reference" and net.predictor().backend == "native"
    np.testing.assert_array_equal(reference(x), expected)
    with fastnn.backend("reference"):
        np.testing.assert_array_equal(net.predictor()(x), expected)


def test_a_net_that_is_gone(impl):
    net = net_of("fused")
    p, x = net.predictor(), rows_of(net, 1)
    expected = net.predict(x)
    del net
    gc.collect()
    np.testing.assert_array_equal(p(x), expected)
    with pytest.raises(RuntimeError, match="the net of this predictor does not exist any more: keep a ref"):
        p.update()
    np.testing.assert_array_equal(p(x), expected)


def test_neither_pickled_nor_copied():
    p = net_of("fused").predictor()
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="pickle or copy the net, and call its method predictor there"):
            attempt(p)


def test_nets_with_plain_calls_are_pickled_and_copied():
    net = net_of("fused")
    x = rows_of(net, 1)
    expected = net.predict(x)
    for again in (pickle.loads(pickle.dumps(net)), copy.copy(net), copy.deepcopy(net)):
        np.testing.assert_array_equal(again.predict(x), expected)


def test_a_net_is_freed_at_once():
    net = net_of("fused")
    net.predict(rows_of(net, 1))
    p = net.predictor()
    freed = []
    weakref.finalize(net, freed.append, True)
    gc.disable()
    try:
        del net
        assert freed
    finally:
        gc.enable()
    with pytest.raises(RuntimeError):
        p.update()


def test_facts(impl):
    net = net_of("fused", "float64")
    p = net.predictor(rows=3)
    assert (p.rows, p.in_features, p.out_features, p.dtype) == (3, WIDTH, 3, np.dtype(np.float64))
    assert p.backend == ("reference" if impl == "reference" else "native")
    for name in ("rows", "backend", "in_features", "out_features", "dtype"):
        with pytest.raises(AttributeError):
            setattr(p, name, None)
    assert list(inspect.signature(p).parameters) == ["x", "out"]
    backend = "reference" if impl == "reference" else "native"
    facts = "6 features, results of 3 columns and float64, at most 3 rows"
    assert repr(p) == f"<Predictor of a net: {facts}, {backend}>"


class Doubling(nn.Sequential):
    def predict(self, X, out=None):
        return super().predict(X) * 2


def test_classes_with_their_own_predict(impl):
    net = Doubling(nn.Dense(2, 1), seed=0)
    x = np.ones((1, 2), np.float32)
    expected = nn.Sequential(nn.Dense(2, 1), seed=0).predict(x) * 2
    ensemble = fastnn.Ensemble([net])
    for predict in (net.predict, ensemble.predict):
        for _ in range(3):
            np.testing.assert_array_equal(predict(x), expected)
    for each in (net, ensemble):
        with pytest.raises(TypeError, match="must predict as those of fastnn do, to have a predictor"):
            each.predictor()


class Fives(fastnn.Ensemble):
    def predict_members(self, X):
        return super().predict_members(X) * 0 + 5


def test_ensembles_with_their_own_predictions(impl):
    ensemble, x = Fives([nn.Sequential(nn.Dense(2, 1), seed=0)]), np.ones((1, 2), np.float32)
    for _ in range(3):
        np.testing.assert_array_equal(ensemble.predict(x), [[5.0]])
    with pytest.raises(TypeError, match="the class Fives must predict as those of fastnn do"):
        ensemble.predictor()


def test_a_scaler_that_is_set_while_the_first_prediction_converts_its_rows():
    net = nn.Sequential(nn.Dense(2, 1), seed=0)
    ensemble, x = fastnn.Ensemble([net]), np.ones((1, 2), np.float32)

    class Predicting:
        def __array__(self, dtype=None, copy=None):
            ensemble.predict(x)
            ensemble.predict(x)
            return x

    net.predict(Predicting())
    net.scaler = SCALER
    np.testing.assert_array_equal(ensemble.predict(x), ensemble.predict(x.tolist()))


def test_objects_that_no_method_made():
    for kind in (nn.Predictor, type(net_of("fused").predictor())):
        p = kind.__new__(kind)
        with pytest.raises(RuntimeError, match="a predictor is made by the method predictor"):
            p(np.zeros((1, 6), np.float32))


# ---- threads, signal handlers and forks: a call sees all values from before an update, or all from after it ----


def nets_that_differ(scaled):
    """Return two nets of the same layers; `scaled` of these have scalers."""
    nets = [net_of("norm first", seed=seed) for seed in (3, 4)]
    for net in nets[:scaled]:
        net.scaler, net.output_scaler = SCALER, fastnn.data.Scaler(0.75, 3.0)
    return nets


class Alternating:
    """A predictor of values that are one of two sets: each update takes the other set."""

    def __init__(self, ensemble):
        pairs = [nets_that_differ(0 if ensemble else 1) for _ in range(5 if ensemble else 1)]
        self.both = [[pair[i] for pair in pairs] for i in range(2)]
        self.nets = [net.copy() for net in self.both[0]]
        self.p = fastnn.Ensemble(self.nets).predictor() if ensemble else self.nets[0].predictor()
        x = rows_of(self.nets[0], 600)
        self.rows = x[:1], x  # a plain call and another one
        wholes = [fastnn.Ensemble(nets) if ensemble else nets[0] for nets in self.both]
        self.known = [{whole.predict(rows).tobytes() for whole in wholes} for rows in self.rows]
        self.updates = 0

    def update(self):
        self.updates += 1
        for net, values in zip(self.nets, self.both[self.updates % 2], strict=True):
            net.copy_from(values)
        self.p.update()

    def wrong(self):
        """Return the numbers of rows of predictions that are neither before nor after an update."""
        return [len(r) for r, known in zip(self.rows, self.known, strict=True) if self.p(r).tobytes() not in known]


@pytest.mark.parametrize("ensemble", [False, True])
def test_threads(ensemble):
    it = Alternating(ensemble)
    stop, wrong, calls = threading.Event(), [], [0] * 3

    def call(thread):
        while not stop.is_set():
            wrong.extend(it.wrong())
            calls[thread] += 1

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=call, args=(i,)) for i in range(3)]
        for thread in threads:
            thread.start()
        for _ in until(0.7, lambda: min(calls) > 1 and it.updates > 10):
            it.update()
        stop.set()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert not wrong and min(calls) > 1 and it.updates > 10
    it.update()
    assert not it.wrong() and it.p(it.rows[0]).tobytes() == it.p(it.rows[1])[:1].tobytes()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the system has no timers")
@pytest.mark.parametrize("ensemble", [False, True])
def test_signal_handlers(ensemble):
    it = Alternating(ensemble)
    wrong, handled = [], []

    def handle(number, frame):
        wrong.extend(it.wrong())
        it.update()
        wrong.extend(it.wrong())
        handled.append(it.p(it.rows[0]).tobytes() == it.p(it.rows[1])[:1].tobytes())
        signal.setitimer(signal.ITIMER_REAL, 0.0005)  # again, once the handler has ended

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.001)
    try:
        while len(handled) < 60:
            wrong.extend(it.wrong())
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert not wrong and all(handled)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("ensemble", [False, True])
def test_forks(ensemble):
    it = Alternating(ensemble)
    stop = threading.Event()

    def call():
        while not stop.is_set():
            it.p(it.rows[1])

    thread = threading.Thread(target=call)
    thread.start()
    try:
        for _ in range(8):
            child = os.fork()
            if child == 0:
                first = it.p(it.rows[0]).tobytes()
                good = not it.wrong()
                it.update()
                os._exit(0 if good and not it.wrong() and it.p(it.rows[0]).tobytes() != first else 1)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        stop.set()
        thread.join()


def test_predictions_while_another_thread_trains():
    """A prediction sees the net after a whole step: both of its outputs are equal then, bit for bit."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(256, 300)).astype(np.float32)
    y = np.repeat(rng.normal(size=(256, 1)), 2, axis=1)
    net = nn.Sequential(nn.Dense(300, 300), nn.Tanh(), nn.Dense(300, 2, init="zeros"), seed=0)
    net.predict(X[:1])
    trainer = fastnn.Trainer(net, loss="mean_squared_error")
    thread = threading.Thread(target=trainer.fit, args=(X, y), kwargs={"epochs": 60, "batch_size": 16, "verbose": 0})
    thread.start()
    results = []
    while thread.is_alive():
        results.append(net.predict(X[:1]))
    thread.join()
    results = np.concatenate(results)
    assert (results[:, 0] == results[:, 1]).all() and len(np.unique(results[:, 0])) > 1
