"""Categories as a number, as zeros and ones, and as a learned vector.

What the post says
------------------
A categorical column has only 0 and 1 after one-hot encoding, which seems extreme beside columns that are scaled. An
embedding, a short vector learned for each category, looks like a good idea.

Formula
-------
    number       x = the category's number, scaled
    one-hot      x = (0, ..., 0, 1, 0, ..., 0), with a 1 at the category
    embedding    x = row of a table E, which is learned like any weight

One-hot columns into a dense layer also read a row of a table, that of the layer's weights: 32 numbers for each category
here. So zeros and ones are no problem as such. The embedding has two numbers, which few rows suffice to learn.

What to look at
---------------
The data are made, so that we know the truth: 200 categories with five rows each. Each has a hidden effect u, and

    y = u (1 + x) + noise of variance 0.09

No net can have a test error below 0.09. As a number, the category says nearly nothing: neighbours have nothing in
common. The left picture: the test error by epoch. The right one: the vectors of all categories in their plane, the
darker the larger the hidden effect. The net was never told the effects, but categories that are close have similar
ones; the last column of the table is the correlation of the effect with that of the nearest category.

What to try
-----------
- ``ROWS_PER_CATEGORY = 50``: with many rows one-hot columns are nearly as good.
- ``WIDTH = 8``: wider than the truth needs.
- A category without any row to learn from: what does each of them predict?
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import nn, optim
from fastnn._typing import Array
from fastnn.lab import Below, Between, Figures, Measured, Task, fit
from fastnn.plot import _style

POST = "000"
QUESTION = "Which inputs?"
TWINS = ("gather", "embedding_grad")
SEEDS = 3
PANELS = 2

CATEGORIES = 200
ROWS_PER_CATEGORY = 5
WIDTH = 2  # of the embedding
EPOCHS = 60


def rows(effects: Array, n: int, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """Make rows: the categories, the other column, and the targets."""
    category, x = rng.permutation(np.arange(n) % CATEGORIES), rng.normal(size=n)
    y = effects[category] * (1 + x) + 0.3 * rng.normal(size=n)
    return category, x, y[:, np.newaxis]


def one_hot(category: Array) -> Array:
    """Return a column for each category, with 1 in the rows that belong to it."""
    return np.eye(CATEGORIES)[category]


def scaled(category: Array) -> Array:
    """Return the category's number with mean 0 and standard deviation 1."""
    z: Array = (category - (CATEGORIES - 1) / 2) / (CATEGORIES / np.sqrt(12))
    return z


TABLE = nn.Embedding(CATEGORIES, WIDTH, init=nn.init.normal(std=0.1))
CONDITIONS: dict[str, tuple[Any, list[nn.Layer]]] = {
    "number": (scaled, [nn.Dense(2, 32)]),
    "one-hot": (one_hot, [nn.Dense(1 + CATEGORIES, 32)]),
    "embedding": (np.asarray, [nn.Parallel(nn.Columns([0]), nn.Columns([1], TABLE)), nn.Dense(1 + WIDTH, 32)]),
}


def measure(seed: int) -> Figures:
    """Train the same net behind each encoding."""
    rng = np.random.default_rng(seed)
    effects = rng.normal(size=CATEGORIES)
    category, x, y = rows(effects, CATEGORIES * ROWS_PER_CATEGORY, rng)
    category_test, x_test, y_test = rows(effects, 4000, rng)
    found: dict[str, dict[str, Any]] = {}
    for name, (encode, first) in CONDITIONS.items():
        task = Task(np.column_stack([x, encode(category)]), y, np.column_stack([x_test, encode(category_test)]), y_test)
        model = nn.Sequential(*first, nn.ReLU(), nn.Dense(32, 32), nn.ReLU(), nn.Dense(32, 1), seed=seed)
        history = fit(model, task, epochs=EPOCHS, loss="mse", optimizer=optim.Adam(lr=0.003)).history
        found[name] = {
            "training error": history["loss"][-1],
            "test error": history["val_loss"][-1],
            "weights": model.params.data.size,
            "test error by epoch": history["val_loss"],
        }
    table = model.parameters()["0.1.0.weight"].copy()
    distances = np.linalg.norm(table[:, np.newaxis] - table, axis=2) + np.diag(np.full(CATEGORIES, np.inf))
    neighbours = distances.argmin(axis=1)
    found["embedding"] |= {
        "like its neighbour": np.corrcoef(effects, effects[neighbours])[0, 1],
        "effects": effects,
        "table": table,
    }
    return found


CLAIMS = (
    Below(
        "One-hot columns predict better than a number.", ("one-hot", "test error"), ("number", "test error"), factor=3
    ),
    Below(
        "An embedding predicts better still from few rows.", ("embedding", "test error"), ("one-hot", "test error"),
        factor=1.4,
    ),
    Between(
        "Categories that are close in the embedding have similar effects.", ("embedding", "like its neighbour"), 0.8, 1
    ),
)  # fmt: skip


def draw(measured: Measured, error: Any, plane: Any) -> None:
    """Draw the test errors, and the learned vectors of one run."""
    for i, (name, figures) in enumerate(measured.items()):
        _style.runs(error, i, np.arange(1, EPOCHS + 1), figures["test error by epoch"], name)
    error.axhline(0.09, **_style.GUIDE)
    error.set(yscale="log", xlabel="epoch", ylabel="test error (mean square)")
    figures = measured["embedding"]
    settings = {"c": figures["effects"][0], "cmap": _style.MAP, "edgecolors": "#444444", "linewidths": 0.5}
    plane.scatter(*figures["table"][0].T, **settings)
    plane.set(xlabel="first number of the embedding", ylabel="second number")
    _style.legend(error)
