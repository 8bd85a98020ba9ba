"""The cases of `make bench-peers`: training steps, epochs and kernels in fastnn and in other libraries.

A peer is measured only if its losses are those of fastnn: see `check_losses`.
"""

import functools
from dataclasses import replace

import numpy as np

import fastnn
from bench.lib.cases import Case, copy_updated, make_arguments
from bench.lib.click import CLICK
from bench.lib.nets import GRID, NETS, native_steps
from bench.lib.timing import fastest
from bench.peers import CLICK as CLICK_PEERS
from bench.peers import PEERS
from bench.peers.pytorch_kernels import TORCH
from bench.peers.shared import Missing
from fastnn import demo, kernels
from tests.specs import BY_NAME

CHECKED = 8  # steps
# How far the loss may differ in float32 after these steps, as a share of the first: rounding errors grow from step to
# step, and scikit-learn adds its epsilon before the second moment is corrected. Each library draws its own masks.
TOLERANCE, TOLERANCE_OF_MASKS = 1e-3, 0.05

# ---- steps ----


def check_losses(config, name, make_steps):
    """Compare a peer's losses with fastnn's, from the same weights, on the net's `checked_batches` again and again.

    The first loss and the last are compared: in between the loss may rise above the value at which scikit-learn clips
    the loss of a row. For two classes scikit-learn has one output, whose Adam steps differ from those of two outputs:
    there the first loss alone is compared. Nets with dropout are compared without it first, and then with it, as
    closely as random masks allow.

    Returns
    -------
    float
        The largest difference without dropout, as a share of the first loss.

    Raises
    ------
    AssertionError
        If they differ by more than `TOLERANCE`, or with dropout `TOLERANCE_OF_MASKS`.
    """
    plain = replace(config, p=0.0) if config.p else config
    steps = 1 if name == "scikit-learn" and config.sizes[-1] == 2 else CHECKED
    differences = []
    for net in dict.fromkeys((plain, config)):
        X, y, rows = net.data("float32", net.checked_batches * net.batch)
        order = np.tile(rows, CHECKED // net.checked_batches)
        ours, theirs = (f(net, net.native("float32"), X, y, order, 1) for f in (native_steps, make_steps))
        losses = np.array([(ours(), theirs()) for _ in range(steps)])[[0, -1]]
        assert steps == 1 or losses[-1, 0] < 0.9 * losses[0, 0], f"{net.name}: little is learnt, {losses[:, 0]}"
        differences.append(float(np.ptp(losses, axis=1).max() / losses[0, 0]))
        tolerance = TOLERANCE_OF_MASKS if net.p else TOLERANCE
        assert differences[-1] <= tolerance, f"{name}, {net.title}: the losses of fastnn and it are {losses.tolist()}"
    return differences[0]


def peer_steps(config, peers, data, steps, missing, differences):
    """Return the steps of the peers that can take part: name -> function.

    `peers` has their makers by name, which begins with that of the library: "JAX", or "JAX with one table".

    Why another cannot is written to `missing`. A peer whose losses differ computes something else: it is not measured,
    and the reason is printed.
    """
    functions = {}
    for name, make_steps in peers.items():
        library = name.partition(" with ")[0]
        try:
            if f"{name}, {config.name}" not in differences:
                differences[f"{name}, {config.name}"] = check_losses(config, name, make_steps)
            functions[name] = make_steps(config, config.native("float32"), *data, steps)
        except ImportError as error:
            missing[library] = f"not installed ({error})"
        except Missing as reason:
            missing[f"{library}, {config.name}"] = str(reason)
        except AssertionError as error:
            print(error, flush=True)
            missing[f"{name}, {config.name}"] = "its losses are not those of fastnn"
    return functions


def step_functions(config, peers, missing, differences):
    """Return training steps of fastnn and its peers."""
    data = config.data("float32")
    ours = native_steps(config, config.native("float32"), *data, config.steps)
    return {"native": ours, **peer_steps(config, peers, data, config.steps, missing, differences)}


def click_functions(config, missing, differences, chosen):
    """Return training steps of fastnn and, of each library, of its fastest form, which is written to `chosen`."""
    data = config.data("float32")
    functions = {"native": native_steps(config, config.native("float32"), *data, config.steps)}
    for library, forms in CLICK_PEERS.items():
        named = {f"{library} with {form}": make_steps for form, make_steps in forms.items()}
        found = peer_steps(config, named, data, config.steps, missing, differences)
        if found:
            best = fastest(found)
            functions[library] = found[best]
            chosen[f"{library}, {config.name}"] = f"{best}, the fastest of {len(found)} forms"
    return functions


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


def epoch_functions(config, peers, missing, differences):
    """Return whole epochs: `Trainer.fit` with all that it checks, and the peers' steps in an order made before."""
    X, y = images(config.batch)
    order = np.random.default_rng(0).permutation(len(X))
    trainer = fastnn.Trainer(config.native("float32"))
    ours = functools.partial(trainer.fit, X, y, epochs=1, batch_size=config.batch, verbose=0)
    theirs = peer_steps(config, peers, (X, y, order), len(X) // config.batch, missing, differences)
    return {"native": ours, **theirs}


def epochs(peers, missing, differences):
    """Return the case of whole epochs, if the data are there."""
    config = next(net for net in NETS if net.name == "mnist")
    try:
        rows = len(images(config.batch)[0])
    except Missing as reason:
        missing["epochs of Fashion-MNIST"] = str(reason)
        return []
    make = functools.partial(epoch_functions, config, peers, missing, differences)
    return [Case("epoch", f"Fashion-MNIST, {config.title}", f"{rows} rows", "float32", lambda case: make())]


# ---- kernels ----

SHAPES = ((128, 256), (1024, 1024))


def kernel_functions(name, shape, missing):
    """Return a kernel of fastnn, in NumPy and, if PyTorch is installed, in PyTorch, whose values are checked."""
    spec = BY_NAME[name]
    arguments = make_arguments(spec, shape, "float32")

    def ours():
        more = {spec.out: np.empty_like(arguments.get("x", arguments.get("dy")))} if spec.out else {}
        return functools.partial(getattr(kernels, spec.function or name), **copy_updated(spec, arguments), **more)

    functions = {"native": ours(), "numpy": functools.partial(spec.numpy, **copy_updated(spec, arguments))}
    try:
        import torch
    except ImportError as error:
        missing["PyTorch"] = f"not installed ({error})"
        return functions
    torch.set_num_threads(1)

    def theirs():
        copies = copy_updated(spec, arguments)
        tensors = {k: torch.from_numpy(a) if isinstance(a, np.ndarray) else a for k, a in copies.items()}
        return TORCH[name].make(torch, tensors)

    got, expected = theirs()(), ours()()
    expected = expected[0] if isinstance(expected, tuple) else expected
    if TORCH[name].random:
        more_kept = (np.count_nonzero(got.numpy()) - np.count_nonzero(expected)) / got.numel()
        assert abs(more_kept) < 0.02, f"{name}: PyTorch keeps {more_kept:.3f} more of its elements than fastnn"
    else:
        np.testing.assert_allclose(got.numpy(), expected, rtol=1e-4, atol=1e-4, err_msg=name)
    return {**functions, "PyTorch": theirs()}


# ---- all of them ----


def step_case(net, make):
    return Case("step", net.title, f"{net.batch} rows", "float32", lambda case: make(net), net.steps)


def cases(fast, missing, differences, chosen):
    """Return all cases, or a few quick ones if `fast`.

    When a case's functions are made, reasons are added to `missing`, to `differences` how far losses are from
    fastnn's, and to `chosen` the form that is the fastest of a library's.
    """
    peers = {name: make_steps for name, make_steps in PEERS.items() if not (fast and name == "torch.compile")}
    steps = functools.partial(step_functions, peers=peers, missing=missing, differences=differences)
    clicks = functools.partial(click_functions, missing=missing, differences=differences, chosen=chosen)
    whole = [step_case(net, steps) for net in (GRID[:2] if fast else GRID)]
    whole += [] if fast else [*(step_case(net, clicks) for net in CLICK), *epochs(peers, missing, differences)]
    elementwise = [
        Case(
            "kernel",
            name,
            "x".join(map(str, shape)),
            "float32",
            lambda case, name=name, shape=shape: kernel_functions(name, shape, missing),
        )
        for name in TORCH
        for shape in (SHAPES[:1] if fast else SHAPES)
    ]
    return whole + elementwise
