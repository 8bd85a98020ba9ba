"""What other libraries do in a training step, an epoch and a kernel: the same work as fastnn's, each at its best.

A step gathers its batch by a shuffled epoch's order, goes through the net and back, and updates with Adam. A maker
takes a fastnn net for the initial weights, and returns a function that takes the next steps and returns the last one's
loss. Libraries are imported where they are used, so that the others run where one is missing.
"""

import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from cases import GRID, NETS, Case, engine_steps, make_arguments, numpy_steps, own
from specs import BY_NAME

import fastnn
from fastnn import demo, kernels, nn

LR, BETAS, EPS = 1e-3, (0.9, 0.999), 1e-8
CHECKED = 8  # steps
# How far the loss may differ in float32 after these steps, as a share of the first: roundings grow from step to step,
# and scikit-learn adds its epsilon before the second moment is corrected. Masks are each library's own.
TOLERANCE, TOLERANCE_OF_MASKS = 1e-3, 0.05


class Missing(Exception):
    """Why a peer does not take part."""


def firsts(config, order, steps):
    """Return the numbers of the first batches of call after call, over and over through the epoch."""
    return itertools.cycle(range(0, len(order) // config.batch - steps + 1, steps))


# ---- steps ----


def native(config, net, X, y, order, steps):
    run = engine_steps(config, net, X, y, order, "native", steps)
    return lambda: run().last_loss


def numpy(config, net, X, y, order, steps):
    return numpy_steps(config, config.by_hand(net), X, y, order, steps)


def scikit_learn(config, net, X, y, order, steps):
    """Several batches in one call, as in its `fit`, so that what it checks of its arguments is shared."""
    from sklearn.neural_network import MLPClassifier

    if config.norm or config.p:
        raise Missing("it has no batch norm and no dropout")
    model = MLPClassifier(
        config.sizes[1:-1],
        activation=config.activation,
        alpha=0.0,
        batch_size=config.batch,
        learning_rate_init=LR,
        shuffle=False,
        beta_1=BETAS[0],
        beta_2=BETAS[1],
        epsilon=EPS,
    )
    rows = order[: config.batch]
    model.partial_fit(X[rows], y[rows], classes=np.arange(config.sizes[-1]))  # makes the arrays
    del model._optimizer  # and the next call makes a new one
    layers = [layer for layer in net.layers if isinstance(layer, nn.Dense)]
    for w, b, layer in zip(model.coefs_, model.intercepts_, layers, strict=True):
        one_logit = w.shape[1] < layer.weight.shape[1]  # of two classes it makes one output
        w[...] = np.diff(layer.weight) if one_logit else layer.weight
        b[...] = np.diff(layer.bias) if one_logit else layer.bias
    first = firsts(config, order, steps)

    def run():
        start = next(first) * config.batch
        rows = order[start : start + steps * config.batch]
        return model.partial_fit(X[rows], y[rows]).loss_

    return run


def pytorch(config, net, X, y, order, steps, compiled=False):
    import torch

    torch.set_num_threads(1)
    layers = []
    for layer in net.layers:
        if isinstance(layer, nn.Dense):
            n_in, n_out = layer.weight.shape
            layers.append(torch.nn.Linear(n_in, n_out, bias=layer.bias is not None))
        elif isinstance(layer, nn.BatchNorm):
            layers.append(torch.nn.BatchNorm1d(len(layer.weight), eps=layer.eps, momentum=layer.momentum))
        elif isinstance(layer, nn.Dropout):
            layers.append(torch.nn.Dropout(layer.p))
        else:
            layers.append({"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU}[config.activation]())
    model = torch.nn.Sequential(*layers)
    model.load_state_dict({name: torch.from_numpy(array) for name, array in net.state_dict().items()})
    optimizer = torch.optim.Adam(model.parameters(), lr=LR, betas=BETAS, eps=EPS, fused=True)
    X, y, order = map(torch.from_numpy, (X, y, order))
    batches = order[: len(order) // config.batch * config.batch].reshape(-1, config.batch)

    def loss_of(X, y, rows):
        return torch.nn.functional.cross_entropy(model(X.index_select(0, rows)), y.index_select(0, rows))

    loss_of = torch.compile(loss_of) if compiled else loss_of
    first = firsts(config, order, steps)

    def run():
        start = next(first)
        for rows in batches[start : start + steps]:
            loss = loss_of(X, y, rows)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return loss.item()

    return run


def torch_compile(config, net, X, y, order, steps):
    """Compile the gather, the net, its loss and their derivatives; the update is Adam's own fused kernel."""
    import torch

    torch._inductor.config.compile_threads = 1
    try:
        pytorch(config, net, X, y, order, 1, compiled=True)()
    except Exception as error:  # whatever a compiler may say
        raise Missing(f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:200]}") from error
    return pytorch(config, net, X, y, order, steps, compiled=True)


def jax_scan(config, net, X, y, order, steps):
    import jax
    import jax.numpy as jnp

    def parameters(layer):
        return {k: jnp.array(getattr(layer, k)) for k in ("weight", "bias") if getattr(layer, k) is not None}

    dense = [parameters(layer) for layer in net.layers if isinstance(layer, nn.Dense)]
    norms = [layer for layer in net.layers if isinstance(layer, nn.BatchNorm)]
    weights = {"dense": dense, "norm": [parameters(layer) for layer in norms]}
    running = [(jnp.array(layer.running_mean), jnp.array(layer.running_var)) for layer in norms]
    activation = {"tanh": jnp.tanh, "relu": jax.nn.relu}[config.activation]

    def affine(layer, x):
        x = x @ layer["weight"]
        return x + layer["bias"] if "bias" in layer else x

    def forward(weights, running, x, key):
        kept = []
        for i, layer in enumerate(weights["dense"][:-1]):
            x = affine(layer, x)
            if config.norm:
                mean, var = x.mean(0), x.var(0)
                x = (x - mean) * jax.lax.rsqrt(var + norms[i].eps) * weights["norm"][i]["weight"]
                x, mu, n = x + weights["norm"][i]["bias"], norms[i].momentum, config.batch
                old_mean, old_var = running[i]
                kept.append(((1 - mu) * old_mean + mu * mean, (1 - mu) * old_var + mu * var * n / (n - 1)))
            x = activation(x)
            if config.p:
                key, own_key = jax.random.split(key)
                x = jnp.where(jax.random.bernoulli(own_key, 1 - config.p, x.shape), x / (1 - config.p), 0)
        return affine(weights["dense"][-1], x), kept

    def loss_of(weights, running, x, target, key):
        z, kept = forward(weights, running, x, key)
        return -jnp.take_along_axis(jax.nn.log_softmax(z), target[:, None], axis=1).mean(), kept

    def step(carry, rows, X, y):
        weights, running, m, v, t, key = carry
        key, own_key = jax.random.split(key) if config.p else (key, key)
        (loss, running), g = jax.value_and_grad(loss_of, has_aux=True)(weights, running, X[rows], y[rows], own_key)
        t = t + 1
        (b1, b2), tree = BETAS, jax.tree.map
        m = tree(lambda m, g: b1 * m + (1 - b1) * g, m, g)
        v = tree(lambda v, g: b2 * v + (1 - b2) * g * g, v, g)
        size, root = LR / (1 - b1**t), jnp.sqrt(1 - b2**t)
        weights = tree(lambda w, m, v: w - size * m / (jnp.sqrt(v) / root + EPS), weights, m, v)
        return (weights, running, m, v, t, key), loss

    @functools.partial(jax.jit, donate_argnums=0)
    def scan(carry, batches, X, y):
        return jax.lax.scan(lambda carry, rows: step(carry, rows, X, y), carry, batches)

    zeros = functools.partial(jax.tree.map, jnp.zeros_like)
    carry = (weights, running, zeros(weights), zeros(weights), jnp.float32(0), jax.random.key(0))
    X, y = jnp.array(X), jnp.array(y, jnp.int32)
    order = order[: len(order) // config.batch * config.batch].reshape(-1, config.batch).astype(np.int32)
    first = firsts(config, order.ravel(), steps)

    def run():
        nonlocal carry
        start = next(first)
        carry, losses = scan(carry, order[start : start + steps], X, y)
        return np.asarray(losses)[-1]  # waits for them; indexing in JAX would be a computation of its own

    return run


PEERS = {
    "native": native,
    "numpy": numpy,
    "scikit-learn": scikit_learn,
    "PyTorch": pytorch,
    "torch.compile": torch_compile,
    "JAX": jax_scan,
}


def check(config, name, make):
    """Compare a peer's losses with fastnn's, from the same weights, on one batch again and again.

    The first loss and the last are compared: in between it may rise beyond where scikit-learn clips what a row adds. Of
    two classes scikit-learn makes one output, which Adam moves by other steps than two: there it is the first alone.
    Nets with dropout are compared without it, and then with it, as their masks allow.

    Returns
    -------
    float
        The largest difference without dropout, as a share of the first loss.

    Raises
    ------
    AssertionError
        If they differ by more than `TOLERANCE`, or with dropout `TOLERANCE_OF_MASKS`.
    """
    plain = replace(config, p=0.0)
    steps = 1 if name == "scikit-learn" and config.sizes[-1] == 2 else CHECKED
    differences = []
    for net in dict.fromkeys((plain, config)):
        X, y, rows = net.data("float32", net.batch)
        order = np.tile(rows, CHECKED)
        ours, theirs = (f(net, net.native("float32"), X, y, order, 1) for f in (native, make))
        losses = np.array([(ours(), theirs()) for _ in range(steps)])[[0, -1]]
        assert steps == 1 or losses[-1, 0] < 0.9 * losses[0, 0], f"{net.name}: little is learnt, {losses[:, 0]}"
        differences.append(float(np.ptp(losses, axis=1).max() / losses[0, 0]))
        tolerance = TOLERANCE_OF_MASKS if net.p else TOLERANCE
        assert differences[-1] <= tolerance, f"{name}, {net.title}: losses {losses.tolist()} of fastnn and it"
    return differences[0]


def peers_of(config, names, data, steps, missing, differences):
    """Return the peers that can take part, compared; why another does not is put into `missing`.

    One whose losses differ computes something else: it is not measured, and that is told.
    """
    sides = {}
    for name in (name for name in names if name != "native"):
        try:
            if f"{name}, {config.name}" not in differences:
                differences[f"{name}, {config.name}"] = check(config, name, PEERS[name])
            sides[name] = PEERS[name](config, config.native("float32"), *data, steps)
        except ImportError as error:
            missing[name] = f"not installed ({error})"
        except Missing as reason:
            missing[f"{name}, {config.name}"] = str(reason)
        except AssertionError as error:
            print(error, flush=True)
            missing[f"{name}, {config.name}"] = "its losses are not those of fastnn"
    return sides


def step_sides(config, names, missing, differences):
    """Return the sides of steps."""
    data = config.data("float32")
    ours = native(config, config.native("float32"), *data, config.steps)
    return {"native": ours, **peers_of(config, names, data, config.steps, missing, differences)}


# ---- epochs ----


def images(batch):
    """Return Fashion-MNIST's training images from 0 to 1, as many as make whole batches, with their classes.

    Raises
    ------
    Missing
        If the files of Debian's package are not there.
    """
    if not all(demo.find(demo.DEBIAN, name) for name in demo.FILES):
        raise Missing(f"the files of Debian's package dataset-fashion-mnist are not in {demo.DEBIAN}")
    task = demo.load_idx(demo.DEBIAN)
    rows = len(task.x) // batch * batch
    return (task.x[:rows] / np.float32(task.white)).astype(np.float32), task.y[:rows]


def epoch_sides(config, names, missing, differences):
    """Return the sides of whole epochs: fastnn's is a fit, with all that it checks; the others' order is made before.

    Their losses have been compared in steps of the same net.
    """
    X, y = images(config.batch)
    order = np.random.default_rng(0).permutation(len(X))
    trainer = fastnn.Trainer(config.native("float32"))
    ours = functools.partial(trainer.fit, X, y, epochs=1, batch_size=config.batch, verbose=0)
    peers = peers_of(config, names, (X, y, order), len(X) // config.batch, missing, differences)
    return {"native": ours, **peers}


# ---- kernels ----


@dataclass(frozen=True)
class TorchKernel:
    """A kernel in PyTorch: `make(torch, arguments)` returns a function without arguments, which returns the result.

    It writes into an array made before, where PyTorch has that. `random` ones cannot be compared by value.
    """

    make: Callable
    random: bool = False


def _adam(torch, a):
    """The fused kernel alone, without the Python code around it."""
    lists = [[a[name]] for name in ("w", "g", "m", "v")]
    beta1, beta2 = a["beta1"], a["beta2"]
    more = {"lr": a["lr"], "beta1": beta1, "beta2": beta2, "eps": a["eps"], "weight_decay": 0.0}
    step = [torch.tensor(float(a["step"]))]

    def run():
        torch._fused_adam_(*lists, [], step, **more, amsgrad=False, maximize=False)
        return a["w"]

    return run


def _batch_norm(torch, a):
    out = torch.empty_like(a["x"]), torch.empty_like(a["gamma"]), torch.empty_like(a["gamma"])
    arguments = [a[name] for name in ("x", "gamma", "beta", "running_mean", "running_var")]
    return lambda: torch.native_batch_norm(*arguments, True, a["momentum"], a["eps"], out=out)[0]


def _batch_norm_backward(torch, a):
    f = torch.ops.aten.native_batch_norm_backward
    arguments = [a[name] for name in ("dy", "x", "gamma")]
    return lambda: f(*arguments, None, None, a["mean"], a["inv_std"], True, 1e-5, [True] * 3)[0]


def _values(a, parameters):
    """Return numbers, where a name stands for an argument of the kernel."""
    return [a[each] if isinstance(each, str) else each for each in parameters]


def _derivative_from(a):
    """Return what the kernel's derivative is told from, its output or its input."""
    return a["y"] if "y" in a else a["x"]


def _forward(name, *parameters, **more):
    def make(torch, a):
        f, out = getattr(torch.ops.aten, name).out, torch.empty_like(a["x"])
        values = _values(a, parameters)
        return lambda: f(a["x"], *values, **more, out=out)

    return make


def _backward(name, *parameters, **more):
    def make(torch, a):
        f, out = getattr(torch.ops.aten, f"{name}_backward").grad_input, torch.empty_like(a["dy"])
        told, values = _derivative_from(a), _values(a, parameters)
        return lambda: f(a["dy"], told, *values, **more, grad_input=out)

    return make


def _elu_backward(alpha, scale):
    def make(torch, a):
        f, out = torch.ops.aten.elu_backward.grad_input, torch.empty_like(a["dy"])
        values = _values(a, (alpha, scale))
        return lambda: f(a["dy"], *values, 1, True, a["y"], grad_input=out)

    return make


def _allocating(name):
    """A derivative that has no form with an array to write into."""

    def make(torch, a):
        f, told = getattr(torch.ops.aten, f"{name}_backward"), _derivative_from(a)
        return lambda: f(a["dy"], told)

    return make


def _dropout_backward(torch, a):
    """What autograd calls: the mask that the forward pass has kept, times the gradient."""
    mask = torch.rand_like(a["dy"]) >= a["p"]
    return lambda: torch.ops.aten.native_dropout_backward(a["dy"], mask, 1 / (1 - a["p"]))


SELU = 1.6732632423543772, 1.0507009873554805  # alpha and scale (Klambauer et al., 2017)
TORCH = {
    "relu": TorchKernel(_forward("clamp_min", 0)),
    "relu_backward": TorchKernel(_backward("threshold", 0)),
    "leaky_relu": TorchKernel(_forward("leaky_relu", "negative_slope")),
    "leaky_relu_backward": TorchKernel(_backward("leaky_relu", "negative_slope", True)),
    "relu6": TorchKernel(_forward("hardtanh", 0, 6)),
    "hard_tanh": TorchKernel(_forward("hardtanh", "min_val", "max_val")),
    "threshold": TorchKernel(_forward("threshold", "threshold", "value")),
    "hard_sigmoid": TorchKernel(_forward("hardsigmoid")),
    "hard_sigmoid_backward": TorchKernel(_backward("hardsigmoid")),
    "hard_swish": TorchKernel(_forward("hardswish")),
    "hard_swish_backward": TorchKernel(_allocating("hardswish")),
    "tanh": TorchKernel(_forward("tanh")),
    "tanh_backward": TorchKernel(_backward("tanh")),
    "sigmoid": TorchKernel(_forward("sigmoid")),
    "sigmoid_backward": TorchKernel(_backward("sigmoid")),
    "elu": TorchKernel(_forward("elu", "alpha")),
    "elu_backward": TorchKernel(_elu_backward("alpha", 1)),
    "selu": TorchKernel(_forward("elu", *SELU)),
    "selu_backward": TorchKernel(_elu_backward(*SELU)),
    "softplus": TorchKernel(_forward("softplus", "beta")),
    "silu": TorchKernel(_forward("silu")),
    "silu_backward": TorchKernel(_backward("silu")),
    "mish": TorchKernel(_forward("mish")),
    "mish_backward": TorchKernel(_allocating("mish")),
    "gelu": TorchKernel(_forward("gelu")),
    "gelu_backward": TorchKernel(_backward("gelu")),
    "gelu_tanh": TorchKernel(_forward("gelu", approximate="tanh")),
    "gelu_tanh_backward": TorchKernel(_backward("gelu", approximate="tanh")),
    "softmax": TorchKernel(_forward("_softmax", 1, False)),
    "log_softmax": TorchKernel(_forward("_log_softmax", 1, False)),
    "batch_norm": TorchKernel(_batch_norm),
    "batch_norm_backward": TorchKernel(_batch_norm_backward),
    "dropout": TorchKernel(lambda torch, a: lambda: torch.native_dropout(a["x"], a["p"], True)[0], random=True),
    "dropout_backward": TorchKernel(_dropout_backward, random=True),
    "adam": TorchKernel(_adam),
}
SHAPES = ((128, 256), (1024, 1024))


def kernel_sides(name, shape, missing):
    """Return the kernel's sides, where PyTorch is installed with its own, the values of which are checked."""
    spec = BY_NAME[name]
    arguments = make_arguments(spec, shape, "float32")

    def ours():
        more = {spec.out: np.empty_like(arguments.get("x", arguments.get("dy")))} if spec.out else {}
        return functools.partial(getattr(kernels, spec.function or name), **own(spec, arguments), **more)

    sides = {"native": ours(), "numpy": functools.partial(spec.numpy, **own(spec, arguments))}
    try:
        import torch
    except ImportError as error:
        missing["PyTorch"] = f"not installed ({error})"
        return sides
    torch.set_num_threads(1)

    def theirs():
        tensors = {k: torch.from_numpy(a) if isinstance(a, np.ndarray) else a for k, a in own(spec, arguments).items()}
        return TORCH[name].make(torch, tensors)

    got, expected = theirs()(), ours()()
    expected = expected[0] if isinstance(expected, tuple) else expected
    if TORCH[name].random:
        zeros = (np.count_nonzero(got.numpy()) - np.count_nonzero(expected)) / got.numel()
        assert abs(zeros) < 0.02, f"{name}: {zeros:.3f} more of its elements are kept"
    else:
        np.testing.assert_allclose(got.numpy(), expected, rtol=1e-4, atol=1e-4, err_msg=name)
    return {**sides, "PyTorch": theirs()}


def cases(fast, missing, differences):
    """Return all that is measured, or, `fast`, little of it.

    Making a case's sides fills `missing` with reasons and `differences` with how far losses are from fastnn's.
    """
    names = [name for name in PEERS if not (fast and name == "torch.compile")]
    steps = [
        Case(
            "step",
            net.title,
            f"{net.batch} rows",
            "float32",
            lambda case, net=net: step_sides(net, names, missing, differences),
            net.steps,
        )
        for net in (GRID[:2] if fast else GRID)
    ]
    elementwise = [
        Case(
            "kernel",
            name,
            "x".join(map(str, shape)),
            "float32",
            lambda case, name=name, shape=shape: kernel_sides(name, shape, missing),
        )
        for name in TORCH
        for shape in (SHAPES[:1] if fast else SHAPES)
    ]
    return steps + epochs(names, missing, differences) * (not fast) + elementwise


def epochs(names, missing, differences):
    """Return the case of whole epochs, if there are data."""
    config = next(net for net in NETS if net.name == "mnist")
    try:
        rows = len(images(config.batch)[0])
    except Missing as reason:
        missing["epochs of Fashion-MNIST"] = str(reason)
        return []
    make = functools.partial(epoch_sides, config, names, missing, differences)
    return [Case("epoch", f"Fashion-MNIST, {config.title}", f"{rows} rows", "float32", lambda case: make())]
