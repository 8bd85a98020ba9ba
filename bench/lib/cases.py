"""The cases of `make bench`: every kernel at its shapes; steps, epochs, hand-written loops and predictions of nets.

A case has three implementations of the same work: native, reference (the native code's twin in NumPy), and numpy
(NumPy as one writes it by hand).
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import fastnn
from bench.lib.nets import CALLED, DTYPES, NETS, PLAIN, engine_steps
from bench.peers import numpy_by_hand
from fastnn import kernels, nn, reference
from tests.specs import SPECS

IMPLEMENTATIONS = ("native", "reference", "numpy")


@dataclass(frozen=True)
class Case:
    """One comparison.

    `make(case)` returns a dictionary: implementation -> a function without arguments, a call of which does the measured
    thing `count` times.
    """

    family: str
    name: str
    shape: str
    dtype: str
    make: Callable[["Case"], dict[str, Callable[[], object]]]
    count: int = 1

    @property
    def id(self):
        return f"{self.family}-{self.name}-{self.shape}-{self.dtype}".replace(",", "").replace(" ", "_")


# ---- kernels ----


def make_arguments(spec, shape, dtype):
    """Return arguments for a kernel like those in training.

    No array that it updates has or gets denormal entries, which would slow NumPy down, and no mean is larger than its
    root mean square.
    """
    arguments = spec.make(np.random.default_rng(0), shape, np.dtype(dtype))
    if spec.in_place and "g" in arguments:  # with zero gradients the slots would decay to denormals
        arguments["g"] = np.random.default_rng(1).standard_normal(shape).astype(dtype)
    if {"v", "mean"} <= set(spec.in_place):
        arguments["v"] += 2 * arguments["mean"] ** 2  # so that v - mean**2 does not cancel
    for name in spec.in_place:
        array = arguments[name]
        array[np.abs(array) < 2 * np.finfo(dtype).tiny] = 0
    return arguments


def copy_updated(spec, arguments):
    """Return the arguments with copies of the arrays that the kernel updates."""
    return {k: a.copy() if k in spec.in_place else a for k, a in arguments.items()}


@functools.lru_cache(maxsize=1)  # some take seconds to make
def arguments_of(case):
    return make_arguments(*KERNELS[case], case.dtype)


def kernel_functions(case):
    """Return a kernel's implementations: fastnn's write into `out`, NumPy's expressions allocate their results."""
    spec, arguments = KERNELS[case][0], arguments_of(case)
    functions = {}
    for backend, module in (("native", kernels), ("reference", reference)):
        more = {spec.out: spec.call(module, arguments)[spec.out]} if spec.out else {}
        kernel = getattr(module, spec.function or spec.name)
        functions[backend] = functools.partial(kernel, **copy_updated(spec, arguments), **more)
    return functions | {"numpy": functools.partial(spec.numpy, **copy_updated(spec, arguments))}


KERNELS = {
    Case(spec.family, spec.name, "x".join(map(str, shape)), dtype, kernel_functions): (spec, shape)
    for spec in SPECS
    for shape in spec.bench_shapes
    for dtype in DTYPES
}

# ---- nets ----


def step_functions(config, dtype):
    """Return training steps alone, without the checks of `Trainer.fit`."""
    data = config.data(dtype)
    functions = {
        backend: engine_steps(config, config.native(dtype), *data, backend, config.steps)
        for backend in ("native", "reference")
    }
    return functions | {"numpy": numpy_by_hand.make_steps(config, config.native(dtype), *data, config.steps)}


def epoch_functions(config, dtype, steps):
    """Return whole fits of one epoch of `steps` steps, with all that they check and prepare."""
    X, y, _ = config.data(dtype, steps * config.batch)

    def fit(backend):
        trainer = fastnn.Trainer(config.native(dtype))

        def run():
            with fastnn.backend(backend):
                trainer.fit(X, y, epochs=1, batch_size=config.batch, verbose=0)

        return run

    net, rng = numpy_by_hand.copy_of(config.native(dtype)), np.random.default_rng(0)

    def run():
        numpy_by_hand.steps_of(config, net, X, y, rng.permutation(len(X)), steps)()

    return {"native": fit("native"), "reference": fit("reference"), "numpy": run}


def loop_functions(config, dtype):
    """Return a step of a hand-written training loop: forward, loss, backward, update."""
    X, y, order = config.data(dtype, config.batch)

    def loop(backend):
        net = config.native(dtype)
        trainer = fastnn.Trainer(net)
        dz = np.empty((len(X), config.sizes[-1]), dtype)

        def run():
            with fastnn.backend(backend):
                kernels.cross_entropy(net.forward(X, training=True), y, grad=dz)
                net.backward(dz)
                trainer.step()

        return run

    net = numpy_by_hand.copy_of(config.native(dtype))
    return {"native": loop("native"), "reference": loop("reference"), "numpy": lambda: net.step(X, y, order)}


def batch_functions(config, dtype):
    """Return a step on a batch that is given: `Trainer.train_on_batch`."""
    X, y, order = config.data(dtype, config.batch)

    def step(backend):
        trainer = fastnn.Trainer(config.native(dtype))

        def run():
            with fastnn.backend(backend):
                return trainer.train_on_batch(X, y)

        return run

    net = numpy_by_hand.copy_of(config.native(dtype))
    return {"native": step("native"), "reference": step("reference"), "numpy": lambda: net.step(X, y, order)}


def predict_functions(config, dtype, rows=1, predictor=False):
    """Return predictions of a few rows, by `Sequential.predict` or by a predictor."""
    net, x = config.native(dtype), config.data(dtype, rows)[0]
    out = np.empty((rows, config.sizes[-1]), dtype)
    ours = net.predictor() if predictor else net.predict
    dense = [(layer.weight, layer.bias) for layer in net.layers if isinstance(layer, nn.Dense)]
    activation = {"tanh": np.tanh, "relu": lambda z: np.maximum(z, 0)}[config.activation]

    def by_reference():
        with fastnn.backend("reference"):
            return net.predict(x, out=out)

    return {
        "native": lambda: ours(x, out=out),
        "reference": by_reference,
        "numpy": lambda: numpy_by_hand.predict(x, dense, activation),
    }


def net_cases(family, make, nets, shape, count):
    return [
        Case(family, net.title, shape(net), dtype, lambda case, net=net: make(net, case.dtype), count(net))
        for net in nets
        for dtype in DTYPES
    ]


def epoch_cases(net, steps):
    make, shape = functools.partial(epoch_functions, steps=steps), f"{steps}x{net.batch} rows"
    return net_cases("epoch", make, [net], lambda _: shape, lambda _: steps)


STEPS = net_cases("step", step_functions, NETS, lambda net: f"{net.batch} rows", lambda net: net.steps)
EPOCHS = [*(case for net in PLAIN for case in epoch_cases(net, 10 * net.steps)), *epoch_cases(PLAIN[0], 3)]
LOOPS = net_cases("loop", loop_functions, PLAIN, lambda net: f"{net.batch} rows", lambda _: 1)
BATCHES = net_cases("batch", batch_functions, PLAIN, lambda net: f"{net.batch} rows", lambda _: 1)


def prediction_cases(family, rows):
    make = functools.partial(predict_functions, rows=rows, predictor=family == "predictor")
    return net_cases(family, make, CALLED, lambda _: "1 row" if rows == 1 else f"{rows} rows", lambda _: 1)


PREDICTIONS = [
    case for family in ("predict", "predictor") for rows in (1, 32) for case in prediction_cases(family, rows)
]
# An older fastnn, which is measured to compare with it, may lack some.
HAS = {"batch": hasattr(fastnn.Trainer, "train_on_batch"), "predictor": hasattr(nn.Sequential, "predictor")}
CALLS = [case for case in (*BATCHES, *PREDICTIONS) if HAS.get(case.family, True)]
CASES = [*STEPS, *EPOCHS, *LOOPS, *CALLS, *KERNELS]
