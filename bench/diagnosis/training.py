"""A training as a program would write it, how well it does on rows held out, and cases made of two of them."""

import contextlib
import dataclasses
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

import fastnn
from bench.diagnosis.tasks import Data
from fastnn import nn

__all__ = ["Case", "Training", "changed", "figure_of", "spread_of", "with_lr"]

LOGITS_OF_ONE = ("BCEWithLogitsLoss", "HingeLoss", "SquaredHingeLoss")


@dataclass(frozen=True)
class Training:
    """A net of dense layers, its data and all settings.

    Attributes
    ----------
    data : Data
    hidden : tuple of int
    activation : str or None
        After each hidden layer; None for none.
    out : int
        Units of the last dense layer.
    loss : str
    optimizer : Optimizer
    epochs, batch_size : int
    head : tuple of str
        Activations after the last dense layer.
    init, bias, last_init, last_bias : Initializer or None
        Of the hidden layers and of the last; None for the default.
    dropout : float
    norm : float or None
        Momentum of the batch norms before the activations; None for no batch norms.
    penalty : Penalty or None
    schedule : str or None
    validation : bool
        Whether `fit` gets validation data.
    """

    data: Data
    hidden: tuple[int, ...]
    activation: str | None
    out: int
    loss: str
    optimizer: Any
    epochs: int
    batch_size: int
    head: tuple[str, ...] = ()
    init: Any = None
    bias: Any = None
    last_init: Any = None
    last_bias: Any = None
    dropout: float = 0.0
    norm: float | None = None
    penalty: Any = None
    schedule: Any = None
    validation: bool = True

    def net(self, seed):
        """Return the net before training."""
        layers, before = [], self.data.X.shape[1]
        for width in self.hidden:
            layers.append(nn.Dense(before, width, init=self.init, bias_init=self.bias))
            if self.norm is not None:
                layers.append(nn.BatchNorm(width, momentum=self.norm))
            if self.activation is not None:
                layers.append(nn.activation(self.activation))
            if self.dropout:
                layers.append(nn.Dropout(self.dropout))
            before = width
        layers.append(nn.Dense(before, self.out, init=self.last_init, bias_init=self.last_bias))
        return nn.Sequential(*layers, *(nn.activation(name) for name in self.head), seed=seed)

    def trainer(self, seed):
        """Return the trainer before training."""
        return fastnn.Trainer(self.net(seed), self.loss, self.optimizer, schedule=self.schedule, penalty=self.penalty)

    def fit_arguments(self):
        """Return the keyword arguments of `fit`, which are those of `diagnose` as well."""
        data = self.data
        arguments = {"epochs": self.epochs, "batch_size": self.batch_size}
        if self.validation:
            arguments["validation_data"] = (data.X_val, data.y_val)
        if data.weight is not None:
            arguments["sample_weight"] = data.weight
        return arguments

    def fitted(self, seed):
        """Return the trainer after its training; if that is refused or diverges, as it was left."""
        trainer = self.trainer(seed)
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            # Where this fails, the net is left as it is then, and so it is for a user.
            with contextlib.suppress(ValueError, TypeError, fastnn.TrainingDiverged):
                trainer.fit(self.data.X, self.data.y, verbose=0, **self.fit_arguments())
        return trainer

    def figure(self, seed):
        """Return how well the net does after training, on the rows held out."""
        data = self.data
        return figure_of(self.fitted(seed), data.X_held, data.y_held, data.classes, balanced=data.balanced)

    def figures(self, seeds):
        """Return the figure of each seed."""
        return np.array([self.figure(seed) for seed in seeds])


@dataclass(frozen=True)
class Case:
    """A faulty training and the same with its fault undone.

    Attributes
    ----------
    name : str
    kinds : tuple of str
        The planted kind of fault, then other kinds that are a right name of the same fault. Empty for a control.
    faulty : Training
    undone : Training or None
        None for a training that is healthy.
    fitted : bool
        Whether the diagnosis is given the trainer after its training, or before.
    seed : int
        Of the net that is diagnosed.
    allowed : tuple of str
        Kinds that may be said of a control.
    """

    name: str
    kinds: tuple[str, ...]
    faulty: Training
    undone: Training | None = None
    fitted: bool = True
    seed: int = 0
    allowed: tuple[str, ...] = ()

    def given(self):
        """Return the trainer that the diagnosis is given."""
        return self.faulty.fitted(self.seed) if self.fitted else self.faulty.trainer(self.seed)


def changed(training, **changes):
    """Return the training with some settings changed."""
    return dataclasses.replace(training, **changes)


def with_lr(optimizer, factor):
    """Return the optimiser with its learning rate times a factor."""
    return dataclasses.replace(optimizer, lr=optimizer.lr * factor)


def spread_of(figures):
    """Return the mean and the standard deviation of figures."""
    return float(np.mean(figures)), float(np.std(figures, ddof=1)) if len(figures) > 1 else 0.0


def figure_of(trainer, X, y, classes, *, balanced=False):
    """Return the accuracy for classes, else R2 from -1: what a user of this net would get.

    Where a row has several labels, it is the accuracy of all entries, that of zeros and ones counting alike.

    Parameters
    ----------
    trainer : Trainer
    X, y : ndarray
        Labels, or the targets of a regression in their own unit.
    classes : int
        0 for a regression.
    balanced : bool
        Whether to take the mean accuracy over the classes.
    """
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        predicted = _answers(trainer, X, classes, several=y.ndim > 1)
        if not classes:
            if predicted.shape != y.shape or not np.isfinite(predicted).all():
                return -1.0
            return float(max(-1.0, 1 - np.mean((y - predicted) ** 2) / np.var(y)))
    right = predicted == y
    if balanced or y.ndim > 1:
        return float(np.mean([right[y == label].mean() for label in np.unique(y)]))
    return float(right.mean())


def _answers(trainer, X, classes, *, several=False):
    """Return a label or a number for each row, read from the output as its form asks for it."""
    output = trainer.net.predict(X).astype(float)
    if several:
        logits = type(trainer.loss).__name__ in LOGITS_OF_ONE and not _bounded(trainer.net)
        return (output > (0.0 if logits else 0.5)).astype(int)
    if output.shape[1] > 1:
        return output.argmax(axis=1)
    column = output[:, 0]
    if not classes:
        return column
    if type(trainer.loss).__name__ in LOGITS_OF_ONE:
        return (column > (0.5 if _bounded(trainer.net) else 0.0)).astype(int)
    if type(trainer.loss).__name__ == "LogLoss":
        return (column > 0.5).astype(int)
    return np.clip(np.rint(np.nan_to_num(column)), 0, classes - 1).astype(int)


def _bounded(net):
    """Return whether the net ends in shares from 0 to 1, which a user compares with one half."""
    return type(list(net)[-1]).__name__ in ("Sigmoid", "Softmax", "Hardsigmoid")
