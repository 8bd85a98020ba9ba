"""`Subject`: what the checks look at, computed when a check asks for it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from fastnn._typing import Array
from fastnn.diagnosis._findings import Gain
from fastnn.diagnosis._neighbours import COMPARED_ROWS, Neighbours, neighbours
from fastnn.diagnosis._probe import Probe, probe
from fastnn.diagnosis._setup import Run, Setup, quiet
from fastnn.diagnosis._targets import Score, Targets
from fastnn.nn import Dense, Layer
from fastnn.optim import FullBatch
from fastnn.training import Trainer
from fastnn.training.examples import validated_examples

SAMPLE_ROWS = 4000  # of which statistics are computed
SAMPLE_ENTRIES = 2_000_000
PROBE_ROWS = 256
WATCHED_ROWS = 1000  # whose loss is computed after each epoch
HELD_ROWS = 3000  # of those held out, and of those seen, on which figures are computed
HELD_OUT = 0.25  # of the rows, if there is no validation data
SECONDS = 0.12  # that trials may take besides the epochs
EPOCHS = 1.3  # that trials may take: with the checks, some three in all
FIT_SECONDS = 2e-3  # of a fit, besides its steps
EPOCH_SECONDS = 1.5e-4  # of an epoch, besides its steps
STEP_SECONDS = 15e-6  # of a step, besides its products
PASS_SECONDS = 2e-4  # of an evaluation of all rows by a full-batch optimiser, besides its products
FLOPS = 3e10  # of products, a second


@dataclass(frozen=True)
class Columns:
    """Statistics of the columns of the input, as the first layer gets them; NaN is left out.

    Attributes
    ----------
    mean, std : ndarray
    constant, two_valued : ndarray of bool
    is_id : ndarray of bool
        Whether an embedding reads the column.
    """

    mean: Array
    std: Array
    constant: Array
    two_valued: Array
    is_id: Array


def other_seed(seed: int, number: int) -> int:
    """Return a seed other than that of a net, for each number above 0."""
    return (seed + number) % 2**64


@dataclass
class Subject:
    """A training to be diagnosed.

    Attributes
    ----------
    trainer : Trainer
        As it was given.
    setup : Setup
        Its training, on all rows; only finite ones, with targets that its loss takes if there are any.
    targets : Targets
        Of all rows.
    valid : bool
        Whether the training can run at all.
    has_validation : bool
        Whether the fit has validation data, or the trainer's last fit had some.
    validation : tuple or None
        The rows and the targets of validation data, if there are some.
    seed : int
        Of the choice of rows.
    problem : Exception or None
        What the run of the training has raised; known once `run` is.
    """

    trainer: Trainer
    setup: Setup
    targets: Targets
    valid: bool
    has_validation: bool
    validation: tuple[Array, Targets] | None = None
    seed: int = 0
    problem: Exception | None = None

    # ---- rows ----

    @cached_property
    def split(self) -> tuple[Array, Array]:
        """The numbers of the rows to train with, and of those held out."""
        n = len(self.setup.X)
        order = np.random.default_rng(self.seed).permutation(n)
        held = round(n * HELD_OUT) if n >= 8 else 0
        return np.sort(order[held:]), np.sort(order[:held])

    def some(self, rows: Array, most: int) -> Array:
        """Return at most so many of these numbers of rows, drawn at random, as data may be sorted."""
        if len(rows) <= most:
            return rows
        return np.sort(np.random.default_rng(self.seed + 4).permutation(rows)[:most])

    @cached_property
    def training(self) -> Setup:
        """The training on the rows that are not held out."""
        if self.validation is not None:
            return self.setup
        rows = self.split[0]
        return self.setup.take(rows)

    @cached_property
    def trial_rows(self) -> Setup:
        """The same on as many rows as a trial can use at most: to copy all others would take longer than the trials."""
        setup = self.setup
        rows = np.arange(len(setup.X)) if self.validation is not None else self.split[0]
        most = setup.batch_size * max(2, int(self.budget / self.step_seconds(setup)))
        if len(rows) <= most:
            return self.training
        return setup.take(self.some(rows, most))

    @cached_property
    def held_out(self) -> tuple[Array, Targets]:
        """Rows that no trial trains with: the validation data, or a part of the rows."""
        if self.validation is not None:
            X, targets = self.validation
            rows = self.some(np.arange(len(X)), HELD_ROWS)
            return X[rows], targets.take(rows)
        rows = self.some(self.split[1] if len(self.split[1]) else self.split[0], HELD_ROWS)
        return self.setup.X[rows], self.targets.take(rows)

    @cached_property
    def seen(self) -> tuple[Array, Targets]:
        """Some of the rows that trials train with."""
        rows = self.some(np.arange(len(self.setup.X)) if self.validation is not None else self.split[0], HELD_ROWS)
        return self.setup.X[rows], self.targets.take(rows)

    @cached_property
    def neighbours(self) -> Neighbours | None:
        """What the nearest rows say about the targets; None if that says nothing."""
        rows = self.some(self.sample, COMPARED_ROWS)
        return neighbours(self.setup.X[rows], self.targets.take(rows))

    @cached_property
    def sample(self) -> Array:
        """The numbers of some rows, at random: enough for statistics."""
        n = len(self.setup.X)
        most = min(n, SAMPLE_ROWS, max(2, SAMPLE_ENTRIES // max(1, self.setup.X.shape[1])))
        return np.sort(np.random.default_rng(self.seed + 1).permutation(n)[:most])

    # ---- input ----

    @cached_property
    def raw(self) -> Array:
        """A sample of the input as float64, before the net's scaler."""
        return np.asarray(self.setup.X[self.sample], np.float64)

    @cached_property
    def inputs(self) -> Array:
        """The sample as the first layer gets it."""
        scaler = self.setup.net.scaler
        with np.errstate(all="ignore"):
            given = self.raw if scaler is None else np.asarray(scaler.transform(self.raw))
            return given.astype(self.setup.net.dtype).astype(np.float64)

    @cached_property
    def columns(self) -> Columns:
        """Statistics of the columns."""
        x = self.inputs
        finite = np.isfinite(x)
        kept = np.where(finite, x, np.nan)
        is_id = np.zeros(x.shape[1], bool)
        is_id[[each.column for each in self.setup.net.id_columns]] = True
        with quiet():
            low, high = np.nanmin(kept, axis=0), np.nanmax(kept, axis=0)
            two = np.all((x == low) | (x == high) | ~finite, axis=0)
            mean, std = np.nanmean(kept, axis=0), np.nanstd(kept, axis=0)
        return Columns(mean, std, low == high, two & (low != high), is_id)

    # ---- the net ----

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers of the net."""
        return self.setup.net.layers

    @property
    def dense(self) -> list[Dense]:
        """All dense layers, those in containers included."""
        return [leaf for leaf in self.setup.net.leaves if isinstance(leaf, Dense)]

    @cached_property
    def probe(self) -> Probe | None:
        """A batch in the net before its first step; None if it cannot run."""
        return self.probed(self.setup)

    @cached_property
    def probe_after(self) -> Probe | None:
        """The same batch in the net after the run; None if it cannot run, or has diverged."""
        if self.run is None or self.run.error is not None:
            return None
        return self.probed(self.short, self.run)

    def probed(self, setup: Setup, run: Run | None = None) -> Probe | None:
        """Return a batch in a net, before the training or after a run of it."""
        if not self.valid or len(setup.X) < 2:
            return None
        rows = np.random.default_rng(self.seed + 2).permutation(len(setup.X))[:PROBE_ROWS]
        net = (setup.net if run is None else run.net).copy()
        weight = None if setup.sample_weight is None else setup.sample_weight[rows]
        try:
            examples = validated_examples(net, setup.loss, setup.X[rows], setup.y[rows], weight, finite=False)
            return probe(net, setup.loss, examples.x, examples.y, examples.sample_weight)
        except Exception:  # noqa: BLE001 - a user's function may raise anything; the run of the training says so
            return None

    # ---- trials ----

    def step_seconds(self, setup: Setup) -> float:
        """Return about how long a step takes: the same on all machines, so that reports do not differ."""
        size, passes = setup.net.params.layout.size, 1
        rows = min(setup.batch_size, len(setup.X))
        each = STEP_SECONDS
        if isinstance(setup.optimizer, FullBatch):  # Newton's Hessian takes two gradients for each parameter
            rows, each, passes = len(setup.X), PASS_SECONDS, 3 if setup.optimizer.limit is None else 2 * size
        return passes * (each + 6.0 * size * rows / FLOPS)

    def seconds(self, setup: Setup, epochs: float) -> float:
        """Return about how long a training takes."""
        return FIT_SECONDS + epochs * (EPOCH_SECONDS + setup.batches * self.step_seconds(setup))

    @cached_property
    def budget(self) -> float:
        """About how many seconds all trials together may take."""
        return SECONDS + EPOCHS * self.seconds(self.setup, 1)

    def shortened(self, setup: Setup, seconds: float) -> Setup:
        """Return a training of about so many seconds: with fewer epochs, or of a part of the rows."""
        if self.seconds(setup, setup.epochs) <= seconds:
            return setup
        each = self.seconds(setup, 2) - self.seconds(setup, 1)
        epochs = int((seconds - FIT_SECONDS) / each)
        if epochs >= 1:
            return setup.changed(epochs=min(setup.epochs, epochs))
        steps = max(2, int((seconds - FIT_SECONDS) / self.step_seconds(setup)))
        rows = min(len(setup.X), steps * setup.batch_size)
        chosen = np.sort(np.random.default_rng(self.seed + 3).permutation(len(setup.X))[:rows])
        return setup.take(chosen).changed(epochs=1)

    @cached_property
    def short(self) -> Setup:
        """The training as it is, as far as the budget allows: at most a third of it."""
        return self.shortened(self.trial_rows, self.budget / 3.0)

    @cached_property
    def run(self) -> Run | None:
        """A run of that training; None if it cannot run."""
        if not self.valid:
            return None
        try:
            return self.short.fit(validation=self._rows_to_watch())
        except Exception as error:  # noqa: BLE001 - a user's function may raise anything
            self.problem = error
            return None

    def _rows_to_watch(self) -> tuple[Array, Array] | None:
        """Return a part of the rows held out, as validation data of a run; None if the loss does not take them."""
        if self.validation is None:
            rows = self.some(self.split[1] if len(self.split[1]) else self.split[0], WATCHED_ROWS)
            return self.setup.X[rows], self.setup.y[rows]
        rows = self.some(np.arange(len(self.validation[0])), WATCHED_ROWS)
        X, y = self.validation[0][rows], self.validation[1].y[rows]
        try:
            validated_examples(self.setup.net, self.setup.loss, X, y, None, finite=True)
        except (TypeError, ValueError):
            return None
        return X, y

    @cached_property
    def score(self) -> Score:
        """How well that run predicts the rows held out; that of guessing if it cannot run."""
        return self.scored(self.short, self.run)

    @cached_property
    def score_of_seen(self) -> Score:
        """How well that run predicts rows that it has trained with."""
        return self._score(self.short, self.run, *self.seen)

    @property
    def now(self) -> float | None:
        """The figure of the net as it was given, on the rows held out; None if it has not been trained."""
        if self.trainer.net.training_steps == 0:
            return None
        X, targets = self.held_out
        try:
            return targets.score(self.trainer.net, self.trainer.loss, X).figure
        except (TypeError, ValueError):
            return None

    @property
    def knows_seen(self) -> bool:
        """Whether the run knows nearly all of the rows that it has trained with: then it has learned fast enough."""
        return self.run is not None and self.score_of_seen.figure > 0.97

    def scored(self, setup: Setup, run: Run | None) -> Score:
        """Return how well a run predicts the rows held out."""
        return self._score(setup, run, *self.held_out)

    def _score(self, setup: Setup, run: Run | None, X: Array, targets: Targets) -> Score:
        n = len(X)
        if run is None or (run.error is not None and run.trainer.epoch == 0):
            return Score(targets.chance, np.full(n, targets.chance))
        try:
            score = targets.score(run.net, setup.loss, X)
        except (TypeError, ValueError):
            return Score(targets.chance, np.full(n, targets.chance))
        return score if math.isfinite(score.figure) else Score(targets.chance, np.full(n, targets.chance))

    @cached_property
    def score_of_another_seed(self) -> Score:
        """The same as `score`, of a run with another seed."""
        try:
            run = None if self.run is None else self.short.fit(self.another_seed)
        except Exception:  # noqa: BLE001 - what a user's function raises now, it had not raised in the run
            run = self.run
        return self.scored(self.short, run)

    @property
    def another_seed(self) -> int:
        """A seed for the net other than its own."""
        return other_seed(self.setup.net.seed, 1)

    def changed(self, apply: Callable[[Setup], Setup], *, complete: bool = False) -> Setup | None:
        """Return the training with a change, with all rows or with those of trials; None if they do not go together."""
        try:
            return apply(self.training if complete else self.trial_rows)
        except (TypeError, ValueError):
            return None

    def trial(self, apply: Callable[[Setup], Setup], seconds: float) -> Gain | None:
        """Try a change: train with it, for about so many seconds, and compare. None if it cannot run.

        The training as it is may have had more steps: a change that is ahead nevertheless is better.
        """
        setup, score = self._trained(apply, seconds, None)
        if setup is None or score is None:
            return None
        _, error = score.gain_over(self.score)
        X, targets = self.held_out
        fair = setup.epochs >= self.short.epochs and len(setup.X) >= len(self.short.X)
        figures = self.score.figure, score.figure
        return Gain(targets.figure, *figures, error, len(X), 1, targets.chance, fair=fair)

    def confirmed(self, gain: Gain, apply: Callable[[Setup], Setup], seconds: float) -> Gain:
        """Return the gain of two seeds, of a change that has been tried with one."""
        _, score = self._trained(apply, seconds, self.another_seed)
        if score is None:
            return gain
        before = self.score_of_another_seed
        difference, error = score.gain_over(before)
        spread = abs(difference - gain.difference) / 4.0  # a mean above twice this is of two gains above 0
        return replace(
            gain,
            before=(gain.before + before.figure) / 2.0,
            after=(gain.after + score.figure) / 2.0,
            error=max(float(np.hypot(gain.error, error)) / 2.0, spread),
            seeds=2,
        )

    def _trained(
        self, apply: Callable[[Setup], Setup], seconds: float, seed: int | None
    ) -> tuple[Setup | None, Score | None]:
        """Return a training with a change, of about so many seconds, and its score; None if it cannot run."""
        setup = self.changed(apply)
        if setup is None:
            return None, None
        setup = self.shortened(setup, seconds)
        try:
            return setup, self.scored(setup, setup.fit(seed))
        except Exception:  # noqa: BLE001 - whatever a user's layers and functions raise, the change is no advice then
            return None, None
