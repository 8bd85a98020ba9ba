"""The click-through nets: numbers and embedded categories, as in click logs, and their data."""

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np

import fastnn
from fastnn import nn, optim

RATE = 0.25  # of clicks, about


@dataclass(frozen=True)
class Click:
    """A net that predicts clicks, and its data: what `engine_steps` and `check_losses` need of a `Net`.

    The first columns of X are numbers, the others categories. The vectors of the categories and the numbers, side by
    side, go through dense layers with ReLU to one logit. It is trained with Adam and binary cross-entropy.
    """

    name: str
    sparse: bool  # updates of the tables
    numbers: int = 13
    columns: int = 26  # of categories
    categories: int = 10_000  # of each column
    width: int = 16  # of their vectors
    hidden: tuple[int, ...] = (256, 128)
    batch: int = 1024
    rows: int = 100_000
    steps: int = 4  # in one call

    loss: ClassVar[str] = "binary_cross_entropy"
    p: ClassVar[float] = 0.0  # it has no dropout
    # On a single batch sparse updates are those of whole tables: rows that it does not read have no moments.
    checked_batches: ClassVar[int] = 2

    @property
    def title(self):
        return self.name

    def native(self, dtype):
        """Return the net in fastnn."""
        ids = range(self.numbers, self.numbers + self.columns)
        tables = nn.Embeddings([self.categories] * self.columns, self.width, sparse=self.sparse)
        layers = [nn.Parallel(nn.Columns(range(self.numbers)), nn.Columns(ids, tables))]
        sizes = (self.numbers + self.columns * self.width, *self.hidden)
        for n_in, n_out in pairwise(sizes):
            layers += [nn.Dense(n_in, n_out), nn.ReLU()]
        return nn.Sequential(*layers, nn.Dense(sizes[-1], 1), dtype=dtype, seed=0)

    def program(self, net, optimizer="adam"):
        """Return the training program of a net that `native` has made, as a `Trainer` makes it."""
        assert optimizer == "adam"
        update = fastnn.Trainer(net, loss=self.loss, optimizer=optim.Adam()).as_update()
        return net.training_program(loss=self.loss, target="rows", optimizer=update)

    def weights(self, net):
        """Return copies of a net's tables, and of the weight and the bias of each of its dense layers."""
        tables = net[0][1][0].weights
        dense = [layer for layer in net.layers if isinstance(layer, nn.Dense)]
        return [table.copy() for table in tables], [(layer.weight.copy(), layer.bias.copy()) for layer in dense]

    def split(self, X):
        """Return the numbers of X, and its categories as integers."""
        return np.ascontiguousarray(X[:, : self.numbers]), X[:, self.numbers :].astype(np.int64)

    def data(self, dtype, rows=None):
        """Return examples, whether each was clicked, and a shuffled order of the rows.

        The k-th most frequent category of a column is 1/k times as frequent as the first (Zipf's law), a few
        are in many rows and most are rare. Frequent ones are anywhere in the table. The log-odds of a
        click are a sum of effects of the numbers and of the categories.
        """
        rng, rows = np.random.default_rng(0), rows or self.rows
        below = np.cumsum(1 / np.arange(1, self.categories + 1))
        rank = np.searchsorted(below / below[-1], rng.random((rows, self.columns)))
        category_of_rank = rng.permuted(np.tile(np.arange(self.categories), (self.columns, 1)), axis=1)
        column = np.arange(self.columns)
        ids = category_of_rank[column, rank]
        numbers = rng.standard_normal((rows, self.numbers), np.float32)
        effects = rng.standard_normal((self.columns, self.categories))[column, ids].sum(axis=1) + numbers.sum(axis=1)
        logit = effects / np.sqrt(self.numbers + self.columns) + np.log(RATE / (1 - RATE))
        clicked = rng.random(rows) < 1 / (1 + np.exp(-logit))
        return (
            np.column_stack([numbers, ids]).astype(dtype),
            clicked[:, np.newaxis].astype(dtype),
            rng.permutation(rows),
        )


CLICK = [Click("click-through, dense updates", sparse=False), Click("click-through, sparse updates", sparse=True)]
_FEW = {"numbers": 4, "columns": 4, "categories": 500, "width": 8, "hidden": (32,), "batch": 128, "rows": 2560}
SMALL = [Click("embeddings", sparse=False, **_FEW), Click("sparse", sparse=True, **_FEW)]  # whose instructions count
