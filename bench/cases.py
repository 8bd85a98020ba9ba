"""What is measured: every kernel of the tests' table at its shapes; whole steps, epochs and predictions of some nets.

A case has three sides that do the same work: native, reference (its NumPy twin), and numpy (what one writes by hand).
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import by_hand
import numpy as np
from specs import SPECS

import fastnn
from fastnn import engine, kernels, nn, optim, reference

SIDES = ("native", "reference", "numpy")
DTYPES = ("float32", "float64")


@dataclass(frozen=True)
class Case:
    """One comparison: `make(case)` returns a function without arguments for each side, which does `count` things."""

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
    """Return a kernel's arguments, such as training makes.

    Nothing that it updates is or becomes denormal, which would slow NumPy down, and no mean is larger than its root
    mean square.
    """
    arguments = spec.make(np.random.default_rng(0), shape, np.dtype(dtype))
    if spec.in_place and "g" in arguments:  # slots of units without a gradient would, call after call
        arguments["g"] = np.random.default_rng(1).standard_normal(shape).astype(dtype)
    if {"v", "mean"} <= set(spec.in_place):
        arguments["v"] += 2 * arguments["mean"] ** 2  # and not by a difference that cancels
    for name in spec.in_place:
        array = arguments[name]
        array[np.abs(array) < 2 * np.finfo(dtype).tiny] = 0
    return arguments


def own(spec, arguments):
    """Return the arguments with copies of what the kernel updates."""
    return {k: a.copy() if k in spec.in_place else a for k, a in arguments.items()}


@functools.lru_cache(maxsize=1)  # some take seconds to make
def arguments_of(case):
    return make_arguments(*KERNELS[case], case.dtype)


def kernel_sides(case):
    """Kernels write where they are told to, which is what `out` is for; NumPy's expressions make new arrays."""
    spec, arguments = KERNELS[case][0], arguments_of(case)
    sides = {}
    for side, module in (("native", kernels), ("reference", reference)):
        more = {spec.out: spec.call(module, arguments)[spec.out]} if spec.out else {}
        sides[side] = functools.partial(getattr(module, spec.function or spec.name), **own(spec, arguments), **more)
    return sides | {"numpy": functools.partial(spec.numpy, **own(spec, arguments))}


KERNELS = {
    Case(spec.family, spec.name, "x".join(map(str, shape)), dtype, kernel_sides): (spec, shape)
    for spec in SPECS
    for shape in spec.bench_shapes
    for dtype in DTYPES
}

# ---- nets ----


@dataclass(frozen=True)
class Net:
    """A net and its data: `rows` examples in batches of `batch`.

    It is trained by Adam and by cross-entropy, or by squared error where it has one output.
    """

    name: str
    sizes: tuple[int, ...]
    activation: str
    batch: int
    rows: int
    steps: int  # in one call, so that a call takes some milliseconds
    norm: bool = False
    p: float = 0.0

    @property
    def title(self):
        parts = [
            self.name,
            "-".join(map(str, self.sizes)),
            "batch norm" * self.norm,
            self.activation,
            "dropout" * bool(self.p),
        ]
        return " ".join(filter(None, parts))

    def native(self, dtype, init=None):
        layers = []
        for i, (n_in, n_out) in enumerate(zip(self.sizes, self.sizes[1:], strict=False), 1):
            last = i == len(self.sizes) - 1
            layers.append(nn.Dense(n_in, n_out, bias=last or not self.norm, init=init))
            if not last:
                layers += [nn.BatchNorm(n_out)] if self.norm else []
                layers += [{"tanh": nn.Tanh, "relu": nn.ReLU}[self.activation]()]
                layers += [nn.Dropout(self.p)] if self.p else []
        return nn.Sequential(*layers, dtype=dtype, seed=0)

    def program(self, net, optimizer="adam"):
        """Return the training program of this net, which `native` has made."""
        loss, target = ("cross_entropy", "labels") if self.sizes[-1] > 1 else ("mean_squared_error", "rows")
        return net.training_program(loss=loss, target=target, optimizer=optimizer)

    def by_hand(self, net, draws=()):
        """Return the same net in NumPy, with the same weights; `draws` make the masks, if not at random."""
        draws, made = iter(draws), []
        for layer in net.layers:
            if isinstance(layer, nn.Dense):
                bias = None if layer.bias is None else layer.bias.copy()
                made.append(by_hand.Affine(layer.weight.copy(), bias, first=not made))
            elif isinstance(layer, nn.BatchNorm):
                made.append(by_hand.BatchNorm(layer.weight.copy(), layer.bias.copy()))
            elif isinstance(layer, nn.Dropout):
                made.append(by_hand.Dropout(layer.p, next(draws, None)))
            else:
                made.append({"tanh": by_hand.Tanh, "relu": by_hand.ReLU}[self.activation]())
        return by_hand.Net(made)

    def data(self, dtype, rows=None):
        rng = np.random.default_rng(0)
        X = rng.standard_normal((rows or self.rows, self.sizes[0]), np.float32).astype(dtype)
        y = rng.integers(0, self.sizes[-1], len(X)) if self.sizes[-1] > 1 else X.mean(axis=1, keepdims=True)
        return X, y, rng.permutation(len(X))


NETS = [
    Net("tiny", (4, 64, 64, 2), "tanh", batch=64, rows=10_000, steps=156),
    Net("mnist", (784, 256, 128, 10), "relu", batch=128, rows=60_000, steps=4),
    Net("tab", (54, 256, 256, 7), "relu", batch=1024, rows=100_000, steps=2, norm=True, p=0.1),
]
WIDE = Net("wide", (1024, 2048, 2048, 10), "relu", batch=512, rows=8192, steps=1)  # its twin would take seconds
GRID = [*NETS, WIDE]
PLAIN = [net for net in NETS if not net.norm]


# Steps of an epoch: far more than of a call, so that what is done once for them all is not done in a call.
AHEAD = 1000


def engine_steps(config, net, X, y, order, backend, steps, lr=1e-3, program=None, ahead=AHEAD):
    """Return a function that takes the next steps as `Trainer.fit` takes them, and returns their result.

    With a `program` they are its steps, and not those of the net's own. Only with `ahead` 0 is the net to be looked at
    after a call, as the executor may keep its weights in another order.
    """
    optimizer = optim.Adam(lr=lr)
    program = program or config.program(net, optimizer.kind)
    slots = tuple(engine.aligned_zeros(net.params.layout.size, net.dtype) for _ in range(optimizer.n_slots))
    executor = engine.make_executor(
        program, net.dtype, config.batch, net.params, net.state, net.grads, slots, net.seed, backend
    )
    feed = engine.Feed(X, order, config.batch, y)
    taken = 0

    def run():
        nonlocal taken
        first = taken % (len(order) // config.batch - steps + 1)
        scalars = optimizer.scalars(np.arange(taken + 1, taken + steps + 1), np.full(steps, optimizer.lr))
        result = executor.run_steps(feed, first, first + steps, scalars, taken, math.inf, 1, ahead=ahead)
        taken += steps
        return result

    return run


def numpy_steps(config, net, X, y, order, steps):
    """Return a function that takes the next steps in NumPy, and returns the last one's loss."""
    taken = 0

    def run():
        nonlocal taken
        first = taken % (len(order) // config.batch - steps + 1)
        for batch in range(first, first + steps):
            loss = net.step(X, y, order[batch * config.batch : (batch + 1) * config.batch])
        taken += steps
        return loss

    return run


def step_sides(config, dtype):
    data = config.data(dtype)
    sides = {
        side: engine_steps(config, config.native(dtype), *data, side, config.steps) for side in ("native", "reference")
    }
    return sides | {"numpy": numpy_steps(config, config.by_hand(config.native(dtype)), *data, config.steps)}


def epoch_sides(config, dtype, steps):
    """Whole fits of one epoch of so many steps each, with all that they check and prepare."""
    X, y, _ = config.data(dtype, steps * config.batch)

    def fit(side):
        trainer = fastnn.Trainer(config.native(dtype))

        def run():
            with fastnn.backend(side):
                trainer.fit(X, y, epochs=1, batch_size=config.batch, verbose=0)

        return run

    net, rng = config.by_hand(config.native(dtype)), np.random.default_rng(0)

    def run():
        numpy_steps(config, net, X, y, rng.permutation(len(X)), steps)()

    return {"native": fit("native"), "reference": fit("reference"), "numpy": run}


def loop_sides(config, dtype):
    """Steps of a hand-written loop, part by part."""
    X, y, order = config.data(dtype, config.batch)

    def loop(side):
        net = config.native(dtype)
        trainer = fastnn.Trainer(net)
        dz = np.empty((len(X), config.sizes[-1]), dtype)

        def run():
            with fastnn.backend(side):
                kernels.cross_entropy(net.forward(X, training=True), y, grad=dz)
                net.backward(dz)
                trainer.step()

        return run

    net = config.by_hand(config.native(dtype))
    return {"native": loop("native"), "reference": loop("reference"), "numpy": lambda: net.step(X, y, order)}


def predict_sides(config, dtype):
    """One row at a time."""
    net, x = config.native(dtype), config.data(dtype, 1)[0]
    out = np.empty((1, config.sizes[-1]), dtype)
    dense = [(layer.weight, layer.bias) for layer in net.layers if isinstance(layer, nn.Dense)]
    activation = {"tanh": np.tanh, "relu": lambda z: np.maximum(z, 0)}[config.activation]

    def by_reference():
        with fastnn.backend("reference"):
            return net.predict(x, out=out)

    return {
        "native": lambda: net.predict(x, out=out),
        "reference": by_reference,
        "numpy": lambda: by_hand.predict(x, dense, activation),
    }


def net_cases(family, sides, nets, shape, count):
    return [
        Case(family, net.title, shape(net), dtype, lambda case, net=net: sides(net, case.dtype), count(net))
        for net in nets
        for dtype in DTYPES
    ]


def epoch_cases(net, steps):
    sides, shape = functools.partial(epoch_sides, steps=steps), f"{steps}x{net.batch} rows"
    return net_cases("epoch", sides, [net], lambda _: shape, lambda _: steps)


STEPS = net_cases("step", step_sides, NETS, lambda net: f"{net.batch} rows", lambda net: net.steps)
EPOCHS = [*(case for net in PLAIN for case in epoch_cases(net, 10 * net.steps)), *epoch_cases(PLAIN[0], 3)]
LOOPS = net_cases("loop", loop_sides, PLAIN, lambda net: f"{net.batch} rows", lambda _: 1)
PREDICTIONS = net_cases("predict", predict_sides, PLAIN, lambda net: "1 row", lambda net: 1)
CASES = [*STEPS, *EPOCHS, *LOOPS, *PREDICTIONS, *KERNELS]
