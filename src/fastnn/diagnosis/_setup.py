"""`Setup`: a training as it can be run again, with one thing changed."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastnn._typing import Array
from fastnn.nn import Identity, Layer, Loss, Sequential
from fastnn.nn.container_base import Container
from fastnn.optim import Average, FullBatch, Optimizer, Penalty, Schedule
from fastnn.training import Callback, History, Trainer, TrainingDiverged

__all__ = ["Run", "Setup"]


@dataclass(frozen=True)
class Run:
    """One training of a setup.

    Attributes
    ----------
    trainer : Trainer
        It has the trained net and the history.
    error : TrainingDiverged or None
        Why it ended early, if it did.
    """

    trainer: Trainer
    error: TrainingDiverged | None = None

    @property
    def net(self) -> Sequential:
        """The trained net: that of the average, if there is one."""
        return self.trainer.net if self.trainer.average is None else self.trainer.averaged

    @property
    def history(self) -> History:
        """The history of the trainer."""
        return self.trainer.history


@dataclass(frozen=True, eq=False, repr=False)
class Setup:
    """A training: a net before its first step, the settings of a trainer, the data and the arguments of `fit`.

    Nothing in it changes: `fit` trains copies. `Report.setup` is one, and `Finding.apply` makes another one of it.

    Attributes
    ----------
    net : Sequential
        With the values that the training begins with.
    draws : bool
        Whether these values are the ones that the layers draw, so that another seed gives others.
    loss, optimizer, lr, schedule, penalty, clip_value, clip_norm, accumulate, average
        As the trainer has them.
    X, y, sample_weight
        The rows of the training. In `Report.setup` these are all rows, also those that trials have held out.
    validation : tuple or None
        The rows on which a diagnosis compares trainings, if the user has given some.
    epochs, batch_size, shuffle, augment
        As `fit` has them.
    """

    net: Sequential
    draws: bool
    loss: Loss
    optimizer: Optimizer | FullBatch
    lr: float
    schedule: Schedule | None
    penalty: Penalty
    clip_value: float
    clip_norm: float
    accumulate: int
    average: Average | None
    X: Array
    y: Array
    sample_weight: Array | None = None
    validation: tuple[Any, ...] | None = None
    epochs: int = 10
    batch_size: int = 128
    shuffle: bool = True
    augment: Any = None

    @classmethod
    def of(cls, trainer: Trainer, X: Array, y: Array, **arguments: Any) -> Setup:
        """Return the training of a trainer from its beginning.

        A net that has been trained begins with the values that its layers draw; one with frozen parameters, or one that
        has not been trained yet, begins with the values that it has.
        """
        net, drawn = trainer.net.copy(), redrawn(trainer.net)
        own_values = not np.array_equal(net.params.data, drawn.params.data)
        draws = not net.frozen and not (own_values and net.training_steps == 0)
        return cls(
            drawn if draws else net,
            draws,
            trainer.loss,
            trainer.optimizer,
            trainer.lr,
            trainer.schedule,
            trainer.penalty,
            trainer.clip_value,
            trainer.clip_norm,
            trainer.accumulate,
            trainer.average,
            X,
            y,
            **arguments,
        )

    def changed(self, **changes: Any) -> Setup:
        """Return the same with other attributes."""
        return replace(self, **changes)

    def with_layers(self, layers: Iterable[Layer]) -> Setup:
        """Return the same with a net of other layers, which draw their values."""
        net = self.net
        new = Sequential(*layers, dtype=net.dtype, seed=net.seed)
        new.scaler = net.scaler
        if new.out_features == net.out_features:
            new.output_scaler = net.output_scaler
        return self.changed(net=new, draws=True)

    def with_edited_layers(self, edit: Callable[[Layer], Layer | None]) -> Setup:
        """Return the same with layers that a function has replaced, or left out by returning None."""
        return self.with_layers(edited(self.net.layers, edit))

    def with_scaler(self, scaler: Any) -> Setup:
        """Return the same with a net that scales its input."""
        net = self.net.copy()
        net.scaler = scaler
        return self.changed(net=net)

    def with_output_scaler(self, scaler: Any) -> Setup:
        """Return the same with a net that scales the targets."""
        net = self.net.copy()
        net.output_scaler = scaler
        return self.changed(net=net)

    def take(self, rows: Array | slice) -> Setup:
        """Return the same training on some rows."""
        weight = None if self.sample_weight is None else self.sample_weight[rows]
        return self.changed(X=self.X[rows], y=self.y[rows], sample_weight=weight)

    def __repr__(self) -> str:
        rows = f"{len(self.X)} rows, epochs={self.epochs}, batch_size={self.batch_size}"
        return f"<Setup of {len(self.net)} layers, {self.loss!r}, {self.optimizer!r}, {rows}>"

    @property
    def batches(self) -> int:
        """Number of steps of an epoch."""
        if isinstance(self.optimizer, FullBatch):
            return 1
        return max(1, math.ceil(len(self.X) / self.batch_size))

    def trainer(self, seed: int | None = None) -> Trainer:
        """Return a new trainer of a new net.

        Parameters
        ----------
        seed : int, optional
            That of the net; by default its own. It decides the order of the rows and the dropout masks, and the values
            that layers draw.

        Returns
        -------
        Trainer
        """
        net = self.net.copy()
        if seed is not None:
            drawn = redrawn(self.net, seed)
            if not self.draws:
                drawn.params.data[...], drawn.state.data[...] = net.params.data, net.state.data
            net = drawn
        limits = [None if limit == math.inf else limit for limit in (self.clip_value, self.clip_norm)]
        trainer = Trainer(
            net,
            self.loss,
            self.optimizer,
            self.schedule,
            self.penalty,
            accumulate=self.accumulate,
            average=self.average,
            clip_value=limits[0],
            clip_norm=limits[1],
        )
        trainer.lr = self.lr
        return trainer

    def fit(
        self,
        seed: int | None = None,
        *,
        epochs: int | None = None,
        validation: tuple[Any, ...] | None = None,
        callbacks: Iterable[Callback] = (),
    ) -> Run:
        """Train a new net, and return the run; a training that diverges is a run with an error.

        Parameters
        ----------
        seed : int, optional
            As for `trainer`.
        epochs : int, optional
            In place of the setup's own.
        validation : (X, y), optional
            Rows to evaluate after each epoch; by default none, not even the setup's own.
        callbacks : iterable of Callback

        Returns
        -------
        Run

        Raises
        ------
        TypeError, ValueError
            If `Trainer.fit` refuses the settings or the data.
        """
        trainer, error = self.trainer(seed), None
        with quiet():
            try:
                trainer.fit(
                    self.X,
                    self.y,
                    sample_weight=self.sample_weight,
                    epochs=self.epochs if epochs is None else epochs,
                    batch_size=self.batch_size,
                    shuffle=self.shuffle,
                    augment=self.augment,
                    validation_data=validation,
                    callbacks=callbacks,
                    verbose=0,
                )
            except TrainingDiverged as diverged:
                error = diverged
        return Run(trainer, error)


@contextlib.contextmanager
def quiet() -> Any:
    """Leave out the warnings of trainings that a diagnosis runs: it says itself what is wrong."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def redrawn(net: Sequential, seed: int | None = None) -> Sequential:
    """Return a net of the same settings with the values that its layers draw, by default by its own seed."""
    layers = [layer.detached() for layer in net.layers]
    new = Sequential(*layers, dtype=net.dtype, seed=net.seed if seed is None else seed)
    new.scaler, new.output_scaler = net.scaler, net.output_scaler
    if net.frozen:
        new.freeze(*net.frozen)
    return new


def edited(layers: Iterable[Layer], edit: Callable[[Layer], Layer | None]) -> list[Layer]:
    """Return new layers, replaced or left out by a function; in containers an `Identity` stands for those left out."""
    result: list[Layer] = []
    for layer in layers:
        if isinstance(layer, Container):
            twin = layer.detached()
            within = (edited([each], edit) or [Identity()] for each in twin.layers)
            twin._set_unchecked(layers=tuple(each for (each,) in within))
            result.append(twin)
        elif (new := edit(layer)) is not None:
            result.append(new.detached())
    return result
