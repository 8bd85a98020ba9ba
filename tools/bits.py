"""Do two checkouts compute the same bits? Train nets, and print a digest of weights, losses and predictions for each.

    python tools/bits.py before.json                 # in the one checkout
    python tools/bits.py --compare before.json       # in the other: says which digests differ

Each net is trained on the NumPy reference, and on the native backend at every ISA level that the machine runs. The nets
are the demo's, those of the benchmarks' grid, and small ones with each activation, loss and optimiser. Both checkouts
must run on one machine: digests of different processors differ where their ISA levels do.
"""

import argparse
import hashlib
import itertools
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import fastnn
from fastnn import _native, demo, nn, optim
from fastnn._activations import ACTIVATIONS
from fastnn.nn.losses import LOSSES

Run = Callable[[], list[Any]]

WIDTHS = 6, 16, 4  # of the small nets
ROWS = 300


def numbers(*shape: int, seed: int = 0) -> Any:
    """Return normal numbers in float64."""
    return np.random.default_rng(seed).normal(size=shape)


def results(net: nn.Sequential, trainer: fastnn.Trainer, x: Any, **fit: Any) -> list[Any]:
    """Fit, and return all that depends on the arithmetic."""
    history = trainer.fit(x, verbose=0, **fit)
    state = [
        *net.state_dict().values(),
        *itertools.chain(*(s.values() for s in trainer.state_dict()["slots"].values())),
    ]
    return [*state, np.array(history["loss"]), net.predict(x), net.predict(x[:1])]


def demo_nets() -> Iterator[tuple[str, Run]]:
    """The net of `python -m fastnn demo`, on the digits and, where they are installed, on Fashion-MNIST's images."""
    for task in {task.name: task for task in (demo.load_digits(), demo.load(None))}.values():

        def run(task: demo.Task = task) -> list[Any]:
            net = demo.make_net(task)
            trainer = fastnn.Trainer(net, optimizer=optim.Adam(lr=demo.LEARNING_RATE))
            rows = slice(6000)
            return results(net, trainer, task.x[rows], y=task.y[rows], epochs=2, batch_size=task.batch_size)

        yield f"demo, {task.name}", run


def grid_nets() -> Iterator[tuple[str, Run]]:
    """The nets of the benchmarks' grid, for two epochs of a few batches."""

    def tanh() -> Sequence[nn.Layer]:
        return [nn.Dense(4, 64), nn.Tanh(), nn.Dense(64, 64), nn.Tanh(), nn.Dense(64, 2)]

    def relu(*widths: int) -> Sequence[nn.Layer]:
        return [layer for pair in itertools.pairwise(widths) for layer in (nn.Dense(*pair), nn.ReLU())][:-1]

    def tab() -> Sequence[nn.Layer]:
        blocks = [[nn.Dense(a, b), nn.BatchNorm(b), nn.ReLU(), nn.Dropout(0.1)] for a, b in ((54, 256), (256, 256))]
        return [*itertools.chain(*blocks), nn.Dense(256, 7)]

    grid = {
        "tiny": (tanh, 64), "mnist": (lambda: relu(784, 256, 128, 10), 128), "tab": (tab, 1024),
        "wide": (lambda: relu(1024, 2048, 2048, 10), 512),
    }  # fmt: skip
    for (name, (layers, batch)), dtype in itertools.product(grid.items(), ("float32", "float64")):

        def run(layers: Callable[[], Sequence[nn.Layer]] = layers, batch: int = batch, dtype: str = dtype) -> list[Any]:
            net = nn.Sequential(*layers(), dtype=dtype, seed=3)
            x = numbers(2 * batch + 40, net.in_features).astype(dtype)
            y = np.arange(len(x)) % net.out_features
            return results(net, fastnn.Trainer(net), x, y=y, epochs=2, batch_size=batch)

        yield f"{name}, {dtype}", run


def fit_small(loss: Any = "cross_entropy", optimizer: Any = None, activation: Any = None, **settings: Any) -> list[Any]:
    """Fit a small net; the first kind of target that the loss takes."""
    found = []
    x = numbers(ROWS, WIDTHS[0])
    rows = np.abs(numbers(ROWS, WIDTHS[-1], seed=1))
    targets = (
        np.arange(ROWS) % WIDTHS[-1], rows / rows.sum(axis=1, keepdims=True), (rows > 1).astype(float), rows,
        np.sign(rows - 1), rows[:, :1], np.arange(ROWS) % 2,
    )  # fmt: skip
    for dtype in ("float32", "float64"):
        for outputs, y in itertools.product((WIDTHS[-1], 1), targets):
            first, last = nn.Dense(*WIDTHS[:2]), nn.Dense(WIDTHS[1], outputs)
            net = nn.Sequential(first, activation() if activation else nn.Tanh(), last, dtype=dtype, seed=5)
            try:
                trainer = fastnn.Trainer(net, loss, optimizer or optim.Adam(), **settings)
                trainer.evaluate(x, y)
            except (TypeError, ValueError):
                continue
            found += results(net, trainer, x, y=y, epochs=3, batch_size=64, sample_weight=rows[:, 0])
            break
    assert found, "the loss takes none of the targets"
    return found


def small_nets() -> Iterator[tuple[str, Run]]:
    """One for each activation, loss and optimiser, and for what is around an update."""
    for name in ACTIVATIONS:
        yield f"activation {name}", partial(fit_small, activation=partial(nn.activation, name))
    for name in LOSSES:
        yield f"loss {name}", partial(fit_small, name)
    kinds: Mapping[str, Any] = optim.OPTIMIZERS
    for name, kind in kinds.items():
        yield f"optimiser {name}", partial(fit_small, optimizer=kind())
    yield (
        "SGD, momentum",
        lambda: fit_small(optimizer=optim.SGD(lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01)),
    )
    yield "clipped", lambda: fit_small(clip_norm=0.1, clip_value=0.05)
    yield "penalty", lambda: fit_small(penalty=optim.Penalty(l1=0.01, l2=0.01))
    yield "schedule", lambda: fit_small(schedule=optim.CosineAnnealingLR(2))


def estimators() -> Iterator[tuple[str, Run]]:
    """scikit-learn's perceptrons as fastnn runs them."""
    from fastnn.sklearn import MLPClassifier, MLPRegressor

    x, y = numbers(ROWS, WIDTHS[0]), np.arange(ROWS) % 3
    for kind, solver in itertools.product((MLPClassifier, MLPRegressor), ("adam", "sgd", "lbfgs")):

        def run(kind: Any = kind, solver: str = solver) -> list[Any]:
            model = kind(hidden_layer_sizes=(16, 8), solver=solver, max_iter=8, random_state=1)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model.fit(x, y)
            return [*model.coefs_, *model.intercepts_, np.array([model.loss_]), model.predict(x)]

        yield f"{kind.__name__}, {solver}", run


def digest(arrays: list[Any]) -> str:
    """Return a hash of shapes, dtypes and bytes."""
    total = hashlib.sha256()
    for array in arrays:
        total.update(f"{array.shape} {array.dtype}".encode() + np.ascontiguousarray(array).tobytes())
    return total.hexdigest()[:16]


def digests(backend: str) -> dict[str, str]:
    """Return the digest of each net, and of its run on two threads where that is native."""
    found = {}
    for name, run in itertools.chain(demo_nets(), grid_nets(), small_nets(), estimators()):
        if backend == "reference" and name.startswith("wide"):
            continue  # minutes, for the arithmetic of the others
        with fastnn.backend(backend), fastnn.num_threads(1):
            found[name] = digest(run())
        if backend == "native":
            with fastnn.num_threads(2):
                assert digest(run()) == found[name], f"{name}: two threads differ from one"
    return found


def main() -> int:
    """Run each level in a process of its own, as it is chosen when fastnn is imported."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, nargs="?", help="where to write the digests")
    parser.add_argument("--compare", type=Path, metavar="FILE", help="digests of the other checkout")
    parser.add_argument("--backend", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.backend:
        json.dump(digests(arguments.backend), sys.stdout)
        return 0
    levels = [level for level, usable in _native.levels().items() if usable]
    found = {}
    for level in [*levels, "reference"]:
        backend = "reference" if level == "reference" else "native"
        environment = os.environ if level == "reference" else os.environ | {"FASTNN_ISA": level}
        command = [sys.executable, __file__, "--backend", backend]
        found[level] = json.loads(subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout)
        print(f"{level}: {len(found[level])} nets", flush=True)
    if arguments.file:
        arguments.file.write_text(json.dumps(found, indent=1))
    if not arguments.compare:
        return 0
    before = json.loads(arguments.compare.read_text())
    differ = [(level, name) for level in before for name in before[level] if found[level][name] != before[level][name]]
    for level, name in differ:
        print(f"differs at {level}: {name}")
    print(f"{sum(map(len, before.values())) - len(differ)} of {sum(map(len, before.values()))} digests are equal")
    return bool(differ)


if __name__ == "__main__":
    sys.exit(main())
