"""The cases of `make bench-calls`: what one prediction, one step and one kernel cost when Python calls them.

What the installed fastnn lacks is left out, so that an older one can be measured by the same code.
"""

import functools
import itertools
from dataclasses import replace

import numpy as np

import fastnn
from bench.lib import estimator_cases, small_kernels
from bench.lib.cases import Case
from bench.lib.nets import CALLED, DTYPES, PLAIN, native_steps
from bench.lib.peer_cases import peer_steps
from bench.lib.timing import fastest
from bench.peers import CALLS, numpy_by_hand, pytorch
from bench.peers.shared import Missing, first_batches
from fastnn import engine, kernels, nn

ROWS = (1, 32)
TAILS = ("numpy", "onnxruntime", "onnxruntime, bound")  # the peers whose slowest calls are measured
ARITHMETIC = "arithmetic"
TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}  # between libraries, in float32
BATCH_STEPS = 20  # in one call
FAST_KERNELS = ("relu", "dense", "adam", "identity")

# ---- predictions ----


def calls_at_once(rows):
    """Return the number of calls in a measured function: several, of few enough rows for the second-level cache."""
    return max(4, 64 // rows)


def repeated(function, count):
    """Return a function that calls another so many times."""

    def run():
        for _ in itertools.repeat(None, count):
            function()

    return run


def own_calls(net, x, out):
    """Return fastnn's calls: family -> a function without arguments that returns the outputs."""
    calls = {"predict": lambda: net.predict(x, out)}
    if hasattr(net, "predictor"):
        p = net.predictor()
        calls["predictor"] = lambda: p(x, out)
    return calls


def check_calls(name, function, net, x, tolerance=None):
    """Check that a call has the net's outputs, to the bit without a tolerance, and reads `x` anew each time.

    Raises
    ------
    AssertionError
        If it does not.
    """
    for _ in range(2):
        x[...] = -x
        np.testing.assert_allclose(function(), net.predict(x), **(tolerance or {"rtol": 0}), err_msg=name)


def peer_calls(config, rows, missing, chosen, names=tuple(CALLS)):
    """Return the peers' calls in their fastest forms, whose outputs are fastnn's."""
    net, x = config.native("float32"), config.data("float32", rows)[0]
    functions = {}
    for name in names:
        out = np.full((rows, config.sizes[-1]), np.nan, x.dtype)
        try:
            forms = CALLS[name](net, x, out)
        except ImportError as error:
            missing[name.partition(", ")[0]] = f"not installed ({error})"
            continue
        for form, function in forms.items():
            check_calls(f"{name}, {form}, {config.title}", function, net, x, TOLERANCE)
        best = fastest({form: repeated(function, 100) for form, function in forms.items()})
        functions[name] = forms[best]
        if len(forms) > 1:
            chosen[f"{name}, {config.name}, {rows_text(rows)}"] = best
    return functions


def arithmetic(config, rows, count):
    """Return the ops alone: the net's program for so many rows, run `count` times in one native call.

    Between two of these runs there is a reading of the clock.
    """
    net = config.native("float32")
    executor = engine.make_executor(net.inference_program(), net.dtype, rows, net.params, net.state, backend="native")
    x = config.data("float32", rows * count)[0]
    out = np.empty((len(x), config.sizes[-1]), x.dtype)

    def run():
        executor.predict(x, out, 1)
        return out

    np.testing.assert_array_equal(run(), net.predict(x))
    return run


def rows_text(rows):
    return "1 row" if rows == 1 else f"{rows} rows"


def prediction_functions(config, family, rows, missing, chosen):
    """Return fastnn's call of a family, its arithmetic and the peers, each several times."""
    net, x = config.native("float32"), config.data("float32", rows)[0]
    out, count = np.empty((rows, config.sizes[-1]), np.float32), calls_at_once(rows)
    ours = own_calls(net, x, out)[family]
    check_calls(f"{family}, {config.title}", ours, net, x)
    peers = peer_calls(config, rows, missing, chosen)
    functions = {name: repeated(function, count) for name, function in {"native": ours, **peers}.items()}
    return {**functions, ARITHMETIC: arithmetic(config, rows, count)}


def tail_functions(config, missing, chosen):
    """Return the calls of one row whose slowest are measured."""
    x = config.data("float32", 1)[0]
    out = np.empty((1, config.sizes[-1]), np.float32)
    return own_calls(config.native("float32"), x, out) | peer_calls(config, 1, missing, chosen, TAILS)


# ---- steps ----


def batches_of(config, X, y, order):
    """Return the batches as they arrive in a loop of one's own, already gathered."""
    rows = order[: len(order) // config.batch * config.batch].reshape(-1, config.batch)
    return [(X[each], y[each]) for each in rows]


def train_on_batch_steps(config, net, X, y, order, steps):
    """Return `Trainer.train_on_batch` as steps of a peer."""
    trainer = fastnn.Trainer(net)
    if not hasattr(trainer, "train_on_batch"):
        raise Missing("this fastnn has no train_on_batch")
    batches, first = batches_of(config, X, y, order), first_batches(config, order, steps)

    def run():
        start = next(first)
        for x, t in batches[start : start + steps]:
            loss = trainer.train_on_batch(x, t)
        return loss

    return run


def own_loop_steps(config, net, X, y, order, steps):
    """Return a hand-written loop as steps of a peer: forward, loss, backward, update."""
    trainer = fastnn.Trainer(net)
    batches, first = batches_of(config, X, y, order), first_batches(config, order, steps)
    dz = np.empty((config.batch, config.sizes[-1]), net.dtype)

    def run():
        start = next(first)
        for x, t in batches[start : start + steps]:
            loss = kernels.cross_entropy(net.forward(x, training=True), t, grad=dz)
            net.backward(dz)
            trainer.step()
        return loss

    return run


STEPS = {
    "train_on_batch": train_on_batch_steps,
    "own loop": own_loop_steps,
    "numpy": numpy_by_hand.make_steps,
    "PyTorch": pytorch.make_steps,
}


def step_functions(config, missing, differences):
    """Return steps: native ones in a long fit, and those that Python calls one by one."""
    data = config.data("float32")
    ours = native_steps(config, config.native("float32"), *data, config.steps)
    return {"native": ours, **peer_steps(config, STEPS, data, config.steps, missing, differences)}


def batch_functions(config):
    """Return `train_on_batch` for each kind of batch that it takes; "native" is the plainest, of classes alone."""
    *sizes, last = config.sizes
    X, classes, _ = config.data("float32", config.batch)
    rng = np.random.default_rng(1)
    number, weight = rng.standard_normal(len(X), np.float32), rng.random(len(X), np.float32)
    shares = rng.dirichlet(np.ones(last), len(X)).astype(np.float32)
    heads = nn.HeadsLoss([("cross_entropy", last), ("mean_squared_error", 1)])
    kinds = {
        "native": (last, "cross_entropy", X, classes),
        "classes of uint8": (last, "cross_entropy", X, classes.astype(np.uint8)),
        "x with its columns first": (last, "cross_entropy", np.asfortranarray(X), classes),
        "weights of float32": (last, "cross_entropy", X, classes, weight),
        "a loss with class weights": (last, nn.CrossEntropyLoss(weight=np.arange(1.0, last + 1)), X, classes),
        "rows of probabilities": (last, "cross_entropy", X, shares),
        "two heads: classes, a number": (last + 1, heads, X, np.column_stack([classes, number]).astype(np.float32)),
    }
    functions = {}
    for name, (outputs, loss, *batch) in kinds.items():
        trainer = fastnn.Trainer(replace(config, sizes=(*sizes, outputs)).native("float32"), loss)
        functions[name] = repeated(functools.partial(trainer.train_on_batch, *batch), BATCH_STEPS)
    return functions


# ---- all of them ----


def prediction_cases(config, missing, chosen):
    families = ["predict", *["predictor"] * hasattr(nn.Sequential, "predictor")]
    return [
        Case(
            family,
            config.title,
            rows_text(rows),
            "float32",
            functools.partial(_without_case, prediction_functions, config, family, rows, missing, chosen),
            calls_at_once(rows),
        )
        for rows in ROWS
        for family in families
    ]


def _without_case(make, *arguments):
    """Call the maker of a case's functions, which needs nothing of the case, the last argument."""
    return make(*arguments[:-1])


def batch_cases(config):
    """Return the case of `train_on_batch` with several kinds of batches, if this fastnn has it."""
    if not hasattr(fastnn.Trainer, "train_on_batch"):
        return []
    make = functools.partial(_without_case, batch_functions, config)
    return [Case("batch", config.title, f"{config.batch} rows", "float32", make, BATCH_STEPS)]


def partial_fit_cases(missing):
    """Return the cases of `partial_fit` of both MLPClassifiers."""
    try:
        import sklearn.neural_network  # noqa: F401
    except ImportError as error:
        missing["scikit-learn"] = f"not installed ({error})"
        return []
    given = next(case for case in estimator_cases.cases(None) if case.family == "partial_fit")
    return [replace(given, dtype=dtype) for dtype in DTYPES]


def cases(fast, missing, differences, chosen):
    """Return all cases, or a few quick ones if `fast`; notes are added as in `bench.lib.peer_cases.cases`."""
    tiny = PLAIN[0]
    steps = functools.partial(_without_case, step_functions, tiny, missing, differences)
    small = [case for case in small_kernels.KERNELS if not fast or case.name in FAST_KERNELS]
    return [
        *(case for config in (CALLED[:1] if fast else CALLED) for case in prediction_cases(config, missing, chosen)),
        Case("step", tiny.title, f"{tiny.batch} rows", "float32", steps, tiny.steps),
        *batch_cases(tiny),
        *partial_fit_cases(missing),
        *small,
    ]
