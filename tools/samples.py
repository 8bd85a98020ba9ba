"""Write the samples of model files, tests/data/files: ``python -m tools.samples``.

Files of this version have to stay readable: tests/io/test_samples.py loads every file of the folder and compares its
predictions with those beside it, in a JSON file of the same name. It also compares what today's writer writes for the
same objects. When that changes on purpose, keep the old files under other names (net-table.safetensors and .json become
net-table-0.1.safetensors and .json), and then write the new ones. To add a sample, add it to `SAMPLES`.

Values are fractions of small whole numbers, not drawn and not trained, so that each machine writes the same bytes.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import math
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import fastnn
from fastnn import data, nn, optim
from fastnn._activations import ACTIVATIONS
from fastnn._typing import Array

FOLDER = Path(__file__).resolve().parents[1] / "tests" / "data" / "files"
ROWS = 5
CARDINALITIES = (4, 3)
BINS = [[-1.0, 0.0, 1.0], [-0.75, 0.5], [-2.0, -0.25, 0.25, 2.0]]


# ---- values ----


def fractions(shape: tuple[int, ...], start: int = 0) -> Array:
    """Return different fractions from -0.75 to 0.75, which float32 holds."""
    return ((np.arange(start, start + math.prod(shape)) * 37 % 97 - 48) / 64).reshape(shape)


def filled(net: nn.Sequential) -> nn.Sequential:
    """Give all arrays of a net values, and return it."""
    for index, (name, array) in enumerate((net.params.views() | net.state.views()).items()):
        array[...] = fractions(array.shape, 11 * index)
        if name.endswith("running_var"):
            array[...] = 0.5 + np.abs(array)
        if name.endswith("num_batches_tracked"):
            array[...] = 6
    net.training_steps = 7
    return net


def numbers(width: int) -> Array:
    """Return rows of numbers."""
    return fractions((ROWS, width), 5)


def ids_and_numbers(width: int) -> Array:
    """Return rows whose first columns are ids."""
    rows = numbers(width)
    for column, size in enumerate(CARDINALITIES):
        rows[:, column] = np.arange(ROWS) % size
    return rows


def with_gaps(width: int) -> Array:
    """Return rows with a NaN in each column."""
    rows = numbers(width)
    rows[np.arange(width) % ROWS, np.arange(width)] = np.nan
    return rows


# ---- objects ----


class Slope(nn.Layer):
    """A user's layer: a slope of its own for each column."""

    def __init__(self, features: int, power: float) -> None:
        super().__init__()
        self.features, self.power = features, power

    def parameters(self) -> dict[str, tuple[int, ...]]:
        return {"slope": (self.features,)}

    def emit(self, builder: Any, x: str) -> str:
        y = builder.rows(builder.batch[x])
        builder.op("prelu", {"x": x, **self.roles(a="slope"), "y": y})
        return str(y)


def sine(frequency: float = 1.0) -> nn.Layer:
    """Return a user's activation."""
    return nn.CustomActivation(lambda x: np.sin(frequency * x), lambda dy, x, y: dy * frequency * np.cos(frequency * x))


REGISTERED: dict[str, Callable[..., nn.Layer]] = {"sample_sine": sine, "sample_slope": Slope}
"""What has to be registered before the samples are made or loaded."""


def table() -> nn.Sequential:
    net = nn.Sequential(
        nn.Dense(4, 6, init="orthogonal", bias_init=nn.init.constant(0.1)), nn.BatchNorm(6), nn.ReLU(), nn.Dropout(0.1),
        nn.Dense(6, 5, bias=False, max_norm=3.0), nn.BatchNorm(5, momentum=None), nn.PReLU(5), nn.Dense(5, 3),
        seed=1,
    )  # fmt: skip
    return filled(net)


def activations() -> nn.Sequential:
    branches = [nn.activation(name) for name in (*ACTIVATIONS, "prelu", "softmax", "log_softmax")]
    return filled(nn.Sequential(nn.Dense(3, 2), nn.Parallel(*branches), nn.Dense(2 * len(branches), 2), seed=2))


def containers() -> nn.Sequential:
    gate = nn.Parallel(nn.Sequential(nn.Dense(6, 4), "sigmoid"), nn.Dense(6, 4), join="multiply")
    net = nn.Sequential(
        nn.Parallel(nn.Columns([2, 0], nn.Dense(2, 3), "tanh"), nn.Columns(range(1, 4)), join="concat"),
        nn.Residual(nn.LayerNorm(6), nn.Dense(6, 6), nn.RMSNorm(6, eps=1e-3), "silu"),
        gate,
        nn.Parallel("identity", nn.Sequential(nn.LayerNorm(4, bias=False), nn.Dense(4, 4)), join="mean"),
        nn.Parallel(nn.Dense(4, 2), nn.Residual(nn.Dense(4, 4), nn.Residual("tanh")), join="concat"),
        nn.Parallel(nn.Dense(6, 2), nn.Dense(6, 2), join="add"),
        dtype="float64", seed=3,
    )  # fmt: skip
    return filled(net)


def embeddings() -> nn.Sequential:
    net = nn.Sequential(
        nn.Parallel(
            nn.Columns([0], nn.Embedding(CARDINALITIES[0], 3, padding_idx=1)),
            nn.Columns([0, 1], nn.Embeddings(CARDINALITIES, [2, 1], unknown="own", sparse=True)),
            nn.Columns(range(2, 5), nn.ScaleColumns(3), nn.PiecewiseLinear(BINS, dim=2, activation="relu")),
            nn.Columns(range(2, 5), nn.PiecewiseLinear(BINS)),
            nn.Columns([2, 4], nn.Periodic(2, 3, dim=2, scale=0.25)),
        ),
        nn.Dense(3 + 3 + 6 + 6 + 4, 2),
        seed=4,
    )  # fmt: skip
    return filled(net)


def scaler() -> nn.Sequential:
    net = table()
    net.scaler = data.Scaler(center=fractions((4,)) / 3, scale=np.array([0.1, 2.0, 1.0, 0.7]), fill=0.25)
    net.output_scaler = data.Scaler(center=10.0, scale=0.3)
    net.freeze("0.*", "1.weight")
    return net


def robust_scaler() -> nn.Sequential:
    net = table()
    net.scaler = data.RobustScaler(fractions((4,)), [0.1, 2.0, 1.0, 0.7], limit=[3.0, np.inf, 1.5, 2.0], fill=0.5)
    return net


def quantile_scaler() -> nn.Sequential:
    net = filled(nn.Sequential(nn.Dense(2, 3), "tanh", nn.Dense(3, 1), dtype="float64", seed=2**64 - 1))
    net.scaler = data.QuantileScaler([[-1.0, -0.5], [-0.1, -0.5], [0.3, 0.25], [1.0, 0.7]], fill=[0.0, 0.5])
    net.output_scaler = data.RobustScaler(-2.0, 0.1, limit=np.inf)
    return net


def registered() -> nn.Sequential:
    layers = [nn.activation("sample_slope", features=3, power=0.5), nn.Residual(nn.Dense(3, 3), "sample_sine")]
    net = nn.Sequential(
        nn.Dense(2, 3), nn.activation("sample_sine", frequency=2.0), *layers, nn.Dense(3, 2), dtype="float64", seed=5
    )
    return filled(net)


def ensemble() -> fastnn.Ensemble:
    members = [filled(nn.Sequential(nn.Dense(3, 4), "gelu", nn.Dense(4, 2), seed=seed)) for seed in (6, 7)]
    members[1][2].array("bias")[...] = 1.5
    made = fastnn.Ensemble(members, "softmax")
    first = [{"loss": 1.5, "lr": 0.001}, {"loss": 0.1, "lr": 0.001, "val_loss": math.nan}, {"lr": 0.0, "loss": -0.0}]
    made._set_unchecked(histories=tuple(map(fastnn.History, (first, [{"loss": math.inf}]))))
    return made


def largest(y: Array, output: Array) -> float:
    """Return a figure: a user's metric."""
    return float(abs(output).max())


def trainer() -> fastnn.Trainer:
    net = filled(nn.Sequential(nn.Dense(3, 4), nn.BatchNorm(4), "tanh", nn.Dense(4, 2), seed=8))
    net.freeze("0.bias")
    made = fastnn.Trainer(
        net, nn.MSELoss(columns="sum"), optim.AdamW(0.25, groups=[optim.NO_DECAY]), optim.CosineAnnealingLR(T_max=8),
        optim.Penalty(l2=0.5), clip_norm=2.0, metrics={"largest": largest, "r2": "r2"}, accumulate=2,
        average=optim.EMA(0.5),
    )  # fmt: skip
    state = made.state_dict() | {"step_count": 3, "schedule_step": 5, "epoch": 4, "missed_updates": {"0.bias": 2}}
    state["history"] = [{"loss": 1.5, "lr": 0.25, "seconds": 0.0}, {"loss": 1.0, "lr": 0.2, "val_r2": math.nan}]
    for index, slot in enumerate(state["slots"].values()):
        for name, array in slot.items():
            slot[name] = abs(fractions(array.shape, 7 * index))
    average = state["average"]
    average["count"] = 3
    average["values"] = {name: fractions(array.shape, 3) for name, array in average["values"].items()}
    made.load_state_dict(state)
    return made


ROWS_OF_FIT = numbers(2)
TARGETS_OF_FIT = np.ones((ROWS, 1))


class EndsWithinAnEpoch(fastnn.Callback):
    """A user's callback that ends a fit at its fourth batch by an exception."""

    __module__ = "tools.samples"  # also where this file is the program

    def on_batch_end(self, trainer: fastnn.Trainer, logs: Any) -> None:
        """Raise the exception."""
        if (trainer.epoch, logs["batch"]) == (1, 2):
            raise KeyboardInterrupt


class StoppedFit:
    """A fit whose checkpoint within its second epoch is the sample. Its numbers are exact on each machine."""

    def save(self, path: Path) -> None:
        """Train with a learning rate of 0, and keep the file of the second epoch's first step."""
        net = nn.Sequential(nn.Dense(2, 1, init="zeros"), nn.Dropout(0.5), seed=9)
        made = fastnn.Trainer(net, "mean_squared_error", optim.SGD(0.0, momentum=0.5))
        made.name_run("0123456789abcdef")
        with tempfile.TemporaryDirectory() as folder, mock.patch("time.perf_counter", return_value=0.0):
            used = [fastnn.Checkpoint(folder, minutes=1e-9), fastnn.EarlyStopping("loss"), EndsWithinAnEpoch()]
            with contextlib.suppress(KeyboardInterrupt):
                made.fit(ROWS_OF_FIT, TARGETS_OF_FIT, epochs=3, batch_size=2, callbacks=used, verbose=0)
            shutil.copy(max(Path(folder).glob("checkpoint-*")), path)

    def predict(self, rows: Array) -> Array:
        """Return what the net predicts."""
        return np.zeros((len(rows), 1))


SAMPLES: dict[str, tuple[Callable[[], Any], Array]] = {
    "net-table": (table, numbers(4)),
    "net-activations": (activations, numbers(3)),
    "net-containers": (containers, numbers(4)),
    "net-embeddings": (embeddings, ids_and_numbers(5)),
    "net-scaler": (scaler, with_gaps(4)),
    "net-robust-scaler": (robust_scaler, with_gaps(4)),
    "net-quantile-scaler": (quantile_scaler, with_gaps(2)),
    "net-registered": (registered, numbers(2)),
    "ensemble": (ensemble, numbers(3)),
    "trainer": (trainer, numbers(3)),
    "checkpoint": (StoppedFit, numbers(2)),
}
"""By name, a function that makes an object with the methods `save` and `predict`, and rows for it."""


# ---- writing ----


def expected(made: Any, rows: Array) -> str:
    """Return rows and predictions as JSON, in which NaN is null."""
    with fastnn.backend("reference"):
        predictions = made.predict(rows)
    given = [[None if math.isnan(each) else each for each in row] for row in rows.tolist()]
    return json.dumps({"X": given, "predictions": predictions.tolist()}, allow_nan=False) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--force", action="store_true", help="replace samples that are there")
    force = parser.parse_args().force
    for name, make in REGISTERED.items():
        nn.register_activation(name, make)
    FOLDER.mkdir(parents=True, exist_ok=True)
    paths = [FOLDER / f"{name}{end}" for name, end in itertools.product(SAMPLES, (".safetensors", ".json"))]
    if there := [path.name for path in paths if path.exists() and not force]:
        raise SystemExit(f"{', '.join(there)} exist already: samples stay as they were written; see --help for --force")
    for name, (make_one, rows) in SAMPLES.items():
        made = make_one()
        made.save(FOLDER / f"{name}.safetensors")
        (FOLDER / f"{name}.json").write_text(expected(made, rows))


if __name__ == "__main__":
    main()
