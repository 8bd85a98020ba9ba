"""Train a net natively, the same net on the NumPy reference, and scikit-learn's MLPClassifier with the same settings.

The data are Fashion-MNIST if its four IDX files are found, else the digits that come with scikit-learn.
"""

import argparse
import contextlib
import hashlib
import importlib
import json
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

import fastnn
from fastnn import _validation as check
from fastnn._show_config import show_config
from fastnn._terminal import CommandError
from fastnn._typing import Array
from fastnn.training._progress import has_tqdm, on_terminal

DEBIAN = Path("/usr/share/datasets/fashion-mnist")  # folder of Debian's package dataset-fashion-mnist
FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
INSTALL = check.install("demo")
LEARNING_RATE = 1e-3
SEED = 0


@dataclass(frozen=True)
class Task:
    """Images with their classes, and settings that suit them.

    Attributes
    ----------
    name : str
    x, x_test : ndarray of uint8, shape (n, pixels)
    y, y_test : ndarray of int64, shape (n,)
    white : int
        The largest value of a pixel.
    hidden : tuple of int
        Widths of the hidden layers.
    epochs, peer_epochs, batch_size : int
        Default settings. The peers are the reference and scikit-learn, with which native training is compared.
    """

    name: str
    x: Array
    y: Array
    x_test: Array
    y_test: Array
    white: int
    hidden: tuple[int, ...]
    epochs: int
    peer_epochs: int
    batch_size: int = 128

    @property
    def widths(self) -> tuple[int, ...]:
        """The widths of the input, the hidden layers and the output."""
        classes = int(max(self.y.max(), self.y_test.max())) + 1
        return self.x.shape[1], *self.hidden, classes


@dataclass
class Result:
    """The result of one of the trainings that are compared, with one loss for each epoch."""

    name: str
    epochs: int
    test_accuracy: float
    seconds_per_epoch: float
    loss: list[float]
    test_loss: list[float] = field(default_factory=list)


# ---- data ----


def load(folder: Path | None) -> Task:
    """Return the images in `folder`; by default those of Debian's package, or the digits if it is not installed."""
    if folder is None and not all(find(DEBIAN, name) for name in FILES):
        return load_digits()
    return load_idx(folder or DEBIAN)


def find(folder: Path, name: str) -> Path | None:
    """Return the path of the file of this name, with or without .gz, or None if there is none."""
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def load_idx(folder: Path) -> Task:
    """Return the images of the four IDX files in `folder`."""
    found = {name: find(folder, name) for name in FILES}
    missing = [name for name, path in found.items() if path is None]
    if missing:
        must = "contain the four IDX files, with or without .gz"
        check.refuse(CommandError, str(folder), must, f"no {', '.join(missing)}")
    try:
        x, y, x_test, y_test = (fastnn.data.read_idx(path) for path in found.values() if path)
    except (OSError, ValueError) as error:
        raise CommandError(str(error)) from error
    for images, labels in ((x, y), (x_test, y_test)):
        if images.ndim < 2 or labels.ndim != 1 or len(images) != len(labels) or not len(images):
            got = f"arrays of shape {images.shape} and {labels.shape}"
            check.refuse(CommandError, str(folder), "contain images, and one label for each", got)
        if images.dtype != np.uint8 or labels.dtype != np.uint8:
            got = f"{images.dtype} and {labels.dtype}"
            check.refuse(CommandError, str(folder), "contain images and labels of dtype uint8", got)
    x, x_test = x.reshape(len(x), -1), x_test.reshape(len(x_test), -1)
    if x.shape[1] != x_test.shape[1]:
        widths = f"{x.shape[1]} and {x_test.shape[1]} pixels"
        check.refuse(CommandError, str(folder), "contain images of one size", widths)
    y, y_test = y.astype(np.int64), y_test.astype(np.int64)
    return Task(folder.resolve().name, x, y, x_test, y_test, 255, (256, 128), epochs=10, peer_epochs=2)


def load_digits() -> Task:
    """Return scikit-learn's 1797 digits of 8 x 8 pixels; a fifth of them are test images."""
    datasets = optional("sklearn.datasets")
    if datasets is None:
        fix = f"name another folder with --data, or install scikit-learn, which has the digits: {INSTALL}"
        check.refuse(CommandError, str(DEBIAN), "contain the four IDX files", "none", fix)
    digits = datasets.load_digits()
    images, labels = digits.data.astype(np.uint8), digits.target.astype(np.int64)
    test, train = np.split(fastnn.kernels.permutation(len(images), seed=SEED), [len(images) // 5])
    return Task(
        "digits", images[train], labels[train], images[test], labels[test], 16, (64, 32),
        epochs=30, peer_epochs=30, batch_size=32,
    )  # fmt: skip


# ---- the trainings that are compared ----


class Evaluation(fastnn.Callback):
    """Evaluates the net after every epoch and measures the time of that; with `lines`, prints a line each time."""

    def __init__(self, task: Task, lines: bool) -> None:
        self.task = task
        self.lines = lines
        self.figures: list[dict[str, float]] = []
        self.seconds = 0.0

    def on_epoch_end(self, trainer: fastnn.Trainer, logs: Mapping[str, float]) -> None:
        """Evaluate on the test images."""
        start = time.perf_counter()
        self.figures.append(trainer.evaluate(self.task.x_test, self.task.y_test))
        if self.lines:
            accuracy = self.figures[-1]["accuracy"]
            print(f"  epoch {len(self.figures)}: loss {logs['loss']:.4f}, test accuracy {accuracy:.4f}", flush=True)
        self.seconds += time.perf_counter() - start


def make_net(task: Task) -> fastnn.nn.Sequential:
    """Return the net: dense layers with ReLU between them, and a scaler for the bytes of the images."""
    nn, widths = fastnn.nn, task.widths
    layers = [layer for pair in pairwise(widths) for layer in (nn.Dense(*pair), nn.ReLU())]
    net = nn.Sequential(*layers[:-1], dtype="float32", seed=SEED)
    net.scaler = fastnn.data.Scaler(center=0, scale=1 / task.white)
    return net


def train(task: Task, backend: str, epochs: int, batch_size: int) -> tuple[Result, fastnn.nn.Sequential]:
    """Train the net on a backend."""
    bar = has_tqdm() and on_terminal()
    net, evaluation = make_net(task), Evaluation(task, lines=not bar)
    trainer = fastnn.Trainer(net, loss="cross_entropy", optimizer=fastnn.optim.Adam(lr=LEARNING_RATE))
    with fastnn.backend(backend), blas_threads():
        start = time.perf_counter()
        history = trainer.fit(
            task.x, task.y, epochs=epochs, batch_size=batch_size, callbacks=[evaluation], verbose=int(bar)
        )
        seconds = time.perf_counter() - start - evaluation.seconds
    test_loss = [figures["loss"] for figures in evaluation.figures]
    accuracy = evaluation.figures[-1]["accuracy"]
    return Result(backend, epochs, accuracy, seconds / epochs, history["loss"], test_loss), net


def train_sklearn(task: Task, epochs: int, batch_size: int) -> Result | None:
    """Train scikit-learn's classifier with the same settings; return None if it is not installed."""
    neural_network = optional("sklearn.neural_network")
    if neural_network is None:
        return None
    model = neural_network.MLPClassifier(
        task.hidden, activation="relu", solver="adam", alpha=0.0, batch_size=batch_size, max_iter=epochs,
        learning_rate_init=LEARNING_RATE, n_iter_no_change=epochs + 1, random_state=SEED,
    )  # fmt: skip
    x, x_test = (images.astype(np.float32) * np.float32(1 / task.white) for images in (task.x, task.x_test))
    with blas_threads(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Stochastic Optimizer: Maximum iterations")  # which is intended
        start = time.perf_counter()
        model.fit(x, task.y)
        seconds = time.perf_counter() - start
    accuracy = float((model.predict(x_test) == task.y_test).mean())
    return Result("scikit-learn", epochs, accuracy, seconds / epochs, [float(loss) for loss in model.loss_curve_])


@contextlib.contextmanager
def blas_threads() -> Iterator[None]:
    """Limit the threads of NumPy's matrix products to those of fastnn, if threadpoolctl is installed."""
    threadpoolctl = optional("threadpoolctl")
    if threadpoolctl is None:
        yield
    else:
        with threadpoolctl.threadpool_limits(fastnn.get_num_threads(), user_api="blas"):
            yield


# ---- output ----


def table(results: list[Result]) -> str:
    """Return the figures as a text table."""
    rows = [("", "epochs", "test accuracy", "seconds per epoch", "native's speed-up")]
    for result in results:
        speed_up = f"{result.seconds_per_epoch / results[0].seconds_per_epoch:.1f}x" if result != results[0] else ""
        seconds, accuracy = f"{result.seconds_per_epoch:.3g}", f"{result.test_accuracy:.4f}"
        rows.append((result.name, str(result.epochs), accuracy, seconds, speed_up))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    aligned = ("  ".join(map(str.rjust, cells, widths[1:])) for _, *cells in rows)
    return "\n".join(f"{row[0]:<{widths[0]}}  {cells}".rstrip() for row, cells in zip(rows, aligned, strict=True))


def plot(task: Task, results: list[Result], path: Path) -> bool:
    """Write the loss curves as an image; return False if matplotlib is not installed."""
    figure_module = optional("matplotlib.figure")
    if figure_module is None:
        return False
    # Figure instead of pyplot, which would choose a display and keep global state.
    figure = figure_module.Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot(xlabel="epoch", ylabel="cross-entropy", title=f"{task.name}: {net_name(task)}")
    lines = [(result.name, result.loss, "-" if result is results[0] else "o") for result in results]
    lines += [("native, test images", results[0].test_loss, "--")]
    for label, losses, style in lines:
        axes.plot(range(1, len(losses) + 1), losses, style, label=label, fillstyle="none")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, format="png", dpi=120)
    return True


def net_name(task: Task) -> str:
    """Return the widths of the layers as text."""
    return "-".join(map(str, task.widths))


def report(task: Task, results: list[Result], net: fastnn.nn.Sequential, batch_size: int) -> dict[str, Any]:
    """Return all figures as a dict that can be written as JSON."""
    native = results[0].seconds_per_epoch
    return {
        "data": task.name,
        "rows": len(task.x),
        "test_rows": len(task.x_test),
        "net": list(task.widths),
        "dtype": net.dtype.name,
        "optimizer": "adam",
        "learning_rate": LEARNING_RATE,
        "batch_size": batch_size,
        "seed": SEED,
        "results": [{**vars(result), "native_speed_up": result.seconds_per_epoch / native} for result in results],
        "parameters_sha256": hashlib.sha256(net.params.data.tobytes()).hexdigest(),
        "config": show_config(mode="dicts"),
    }


def optional(module: str) -> Any:
    """Import a module of an optional dependency; return None if it is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError:
        return None


# ---- command line ----


def at_least(least: int) -> Callable[[str], int]:
    """Return a parser of integers from `least` to the largest C int."""
    most = 2**31 - 1

    def integer(text: str) -> int:
        if not text.isdecimal() or len(text) > 40 or not least <= int(text) <= most:
            check.refuse(argparse.ArgumentTypeError, "N", f"be an integer from {least} to {most}", check.shown(text))
        return int(text)

    return integer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the demo's options to a parser."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--data", type=Path, metavar="DIR", help=f"folder of the four IDX files (default: {DEBIAN})")
    parser.add_argument("--epochs", type=at_least(1), metavar="N", help="default: 10; 30 on the digits")
    parser.add_argument(
        "--peer-epochs",
        type=at_least(0),
        metavar="N",
        help="epochs of the reference and of scikit-learn; 0 leaves them out (default: 2; 30 on the digits)",
    )
    parser.add_argument("--batch-size", type=at_least(1), metavar="N", help="default: 128; 32 on the digits")
    parser.add_argument(
        "--threads", type=at_least(1), metavar="N", help="threads of each training (default: fastnn's default)"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", default=Path("fastnn-demo.png"), help="default: %(default)s"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object on the last line")


def run(arguments: argparse.Namespace) -> None:
    """Run the demo.

    Raises
    ------
    CommandError
        If the data are missing or damaged, or the folder of `--out` does not exist.
    """
    if not arguments.out.parent.is_dir():
        check.refuse(CommandError, "--out", "be a file in a folder that exists", arguments.out)
    with fastnn.num_threads(arguments.threads or fastnn.get_num_threads()):
        compare(load(arguments.data), arguments)


def compare(task: Task, arguments: argparse.Namespace) -> None:
    """Run all trainings and show their results."""
    epochs, batch_size = arguments.epochs or task.epochs, arguments.batch_size or task.batch_size
    peer_epochs = task.peer_epochs if arguments.peer_epochs is None else arguments.peer_epochs
    threads = fastnn.get_num_threads()
    print(f"{task.name}: {len(task.x)} images to learn from, {len(task.x_test)} to test with")
    print(f"{net_name(task)}, ReLU, float32, Adam, batches of {batch_size}, {threads} thread{'s' * (threads > 1)}")

    print(f"\nnative, epochs: {epochs}", flush=True)
    native, net = train(task, "native", epochs, batch_size)
    results, notes = [native], []
    if peer_epochs > 0:
        print(f"\nreference, epochs: {peer_epochs}", flush=True)
        results.append(train(task, "reference", peer_epochs, batch_size)[0])
        print(f"\nscikit-learn, epochs: {peer_epochs}", flush=True)
        peer = train_sklearn(task, peer_epochs, batch_size)
        if peer is None:
            notes.append(f"scikit-learn is not installed, so it is not compared: {INSTALL}")
        else:
            results.append(peer)
        notes.append(
            "Accuracies are after the epochs of their row. Speeds are of a single run; for careful ones, `make bench`."
        )
    try:
        if plot(task, results, arguments.out):
            notes.append(f"Loss curves: {arguments.out}")
        else:
            notes.append(f"matplotlib is not installed, so there is no image of the losses: {INSTALL}")
    except OSError as error:
        notes.append(f"The image could not be written: {error}")
    print("", table(results), "", *notes, sep="\n")
    if arguments.json:
        print(json.dumps(report(task, results, net, batch_size), allow_nan=False))
