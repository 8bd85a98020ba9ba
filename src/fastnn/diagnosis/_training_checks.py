"""Checks of the training: learning rate, length, batches, penalties, and what the run of it shows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from fastnn import _records
from fastnn.diagnosis import _changes
from fastnn.diagnosis._data_checks import counted
from fastnn.diagnosis._findings import Suspicion, figure_text
from fastnn.diagnosis._setup import Setup, quiet
from fastnn.diagnosis._subject import Subject
from fastnn.diagnosis._targets import Targets
from fastnn.nn import CustomActivation, Dropout, Layer
from fastnn.optim import FullBatch, Penalty

# Learning rates with which a kind of optimiser usually learns well.
USUAL_RATES = {"SGD": (3e-3, 0.5), "Adagrad": (3e-3, 0.3)}
USUAL_RATES_OF_OTHERS = (2e-4, 1e-2)
FEW_STEPS = 300  # of the whole training
WIDE_GAP = 0.3  # between the figure on rows seen and on others
FIT_ROWS, FIT_STEPS = 32, 300
LEARNED = 0.3  # of the way from guessing to perfect: such a net learns, if not well


def nonfinite(subject: Subject) -> Iterator[Suspicion]:
    """Find a training that ends with NaN or infinity: that of the run, or the trainer's last fit."""
    error, whose = None if subject.run is None else subject.run.error, "The training"
    if error is None and subject.trainer._last_fit is not None:
        error, whose = subject.trainer._last_fit.error, "The trainer's last fit"
    if error is None:
        return
    evidence = {"epoch": error.epoch, "step": error.step, "layer": error.layer, "loss": error.loss, "lr": error.lr}
    if error.epoch == error.step == 1 and math.isnan(error.loss) and error.layer.startswith("none"):
        why = (
            "The loss is NaN in epoch 1, step 1, before any update, and no layer has a NaN: look at the loss function, "
        )
        why += "not at the learning rate."
        change = "print(loss(net.predict(X[:5]), y[:5]))  # a logarithm, a root or a division by 0?"
        yield Suspicion("nonfinite", 1.0, why, change, evidence, judged_by="certain")
        return
    why = f"{whose} ends with NaN or infinity in epoch {error.epoch}, step {error.step}; the first layer with it is "
    why += f"{error.layer}."
    change = "trainer.lr = trainer.lr / 10"
    evidence |= _largest_row(subject)
    apply = _changes.combined(_changes.learning_rate(0.1), _changes.settings(clip_norm=1.0))
    yield Suspicion("nonfinite", 0.5, why, change, evidence, apply, judged_by="certain")


def _largest_row(subject: Subject) -> dict[str, Any]:
    """Return the row with the largest entry of the input, which usually is the first to overflow."""
    x = np.abs(subject.inputs)
    with quiet():
        row = int(np.nanargmax(np.nanmax(x, axis=1)))
    return {"row with the largest input": int(subject.sample[row]), "largest input": float(np.nanmax(x[row]))}


def _usual_rates(setup: Setup) -> tuple[float, float]:
    low, high = USUAL_RATES.get(type(setup.optimizer).__name__, USUAL_RATES_OF_OTHERS)
    momentum = getattr(setup.optimizer, "momentum", 0.0)
    return low * (1.0 - momentum), high * (1.0 - momentum)


def learning_rate_high(subject: Subject) -> Iterator[Suspicion]:
    """Suspect a learning rate that is too high."""
    setup, run = subject.setup, subject.run
    if isinstance(setup.optimizer, FullBatch) or run is None or setup.lr == 0:
        return
    high = _usual_rates(setup)[1]
    jumps = _jumps(run.history["loss"]) if run.history.epochs else 0.0
    diverged = run.error is not None
    evidence = {"lr": setup.lr, "share of epochs in which the loss grew": jumps, "diverged": diverged}
    factor = 0.1 if setup.lr < 10 * high else high / 3 / setup.lr
    why = f"With a learning rate of {setup.lr:g} the training diverges."
    if not diverged:
        why = f"With a learning rate of {setup.lr:g} the loss grew in {100 * jumps:.0f} % of the epochs"
        why += ": steps go beyond the minimum." if jumps > 0.35 else "; a lower one may do better."
    prior = 0.95 if setup.lr > 2 * high else 0.75 if diverged else 0.6 if setup.lr > high or jumps > 0.35 else 0.35
    for each, weight in ((factor, 1.0), (factor / 10, 0.9)):
        change = f"trainer.lr = {setup.lr * each:.2g}"
        yield Suspicion("learning-rate-high", prior * weight, why, change, evidence, _changes.learning_rate(each))


def _jumps(losses: list[float]) -> float:
    """Return the share of epochs after which the loss is larger than before."""
    if len(losses) < 4:
        return 0.0
    steps = np.diff(losses)
    return float(np.mean(steps > 0.02 * np.abs(losses[:-1])))


def learning_rate_low(subject: Subject) -> Iterator[Suspicion]:
    """Suspect a learning rate that is too low."""
    setup, run = subject.setup, subject.run
    if isinstance(setup.optimizer, FullBatch) or run is None or run.error is not None:
        return
    low = _usual_rates(setup)[0]
    losses = run.history["loss"]
    fallen = 1.0 - losses[-1] / losses[0] if losses[0] > 0 else 0.0
    evidence = {"lr": setup.lr, "share of the loss that is gone": fallen, "loss": losses[-1]}
    if setup.lr == 0:
        change = "trainer.lr = 0.001"
        apply: _changes.Change = _changes.settings(lr=1e-3)
        yield Suspicion(
            "learning-rate-low", 1.0, "The learning rate is 0.", change, evidence, apply, judged_by="certain"
        )
        return
    if fallen < -0.05:
        return
    why = f"With a learning rate of {setup.lr:g} the loss falls from {losses[0]:.3g} in the first epoch to "
    why += f"{losses[-1]:.3g} in the last one: it may fall faster."
    prior = 0.95 if setup.lr < low / 3 else 0.8 if setup.lr < low else 0.4
    if subject.knows_seen:
        prior *= 0.5
    factors = (10.0, max(100.0, 3.0 * low / setup.lr)) if setup.lr < low else (10.0, 3.0)
    for each in factors:
        change = f"trainer.lr = {setup.lr * each:.2g}"
        yield Suspicion("learning-rate-low", prior, why, change, evidence, _changes.learning_rate(each))


def epochs(subject: Subject) -> Iterator[Suspicion]:
    """Suspect a training that ends while the loss is still falling."""
    setup, run = subject.setup, subject.run
    if run is None or run.error is not None:
        return
    steps = setup.epochs * setup.batches
    losses = run.history["loss"]
    late = 0.5  # unknown: the training has hardly begun
    if len(losses) > 2:
        before = losses[-max(2, len(losses) // 3)]
        late = losses[-1] / before if before else 1.0
    factor = max(10, math.ceil(FEW_STEPS / steps)) if setup.epochs <= 3 else 4
    why = f"After {counted(setup.epochs, 'epoch')}, {counted(steps, 'step')}, the loss is still falling."
    change = f"trainer.fit(X, y, epochs={setup.epochs * factor})"
    evidence = {"epochs": setup.epochs, "steps": steps, "loss at the end over that at two thirds": late}
    prior = 0.9 if setup.epochs <= 3 else 0.55 if setup.epochs <= 8 or late < 0.9 else 0.3
    if subject.knows_seen:
        prior *= 0.5
    if late < 1.0:
        apply = _changes.settings(epochs=setup.epochs * factor)
        yield Suspicion("epochs", prior, why, change, evidence, apply)


def batch_size(subject: Subject) -> Iterator[Suspicion]:
    """Suspect batches that are too large or too small."""
    setup = subject.setup
    if isinstance(setup.optimizer, FullBatch) or not subject.valid:
        return
    size, n = min(setup.batch_size, len(setup.X)), len(setup.X)
    steps = setup.epochs * setup.batches
    evidence = {"batch_size": setup.batch_size, "rows": n, "steps of an epoch": setup.batches}
    if size > 64 and (setup.batches < 8 or steps < FEW_STEPS):
        why = f"With {size} rows in a batch an epoch has {counted(setup.batches, 'step')}"
        if setup.batches == 1:
            why = f"With batch_size={setup.batch_size} all {n} rows are one batch: an epoch has 1 step"
        why += f", the whole training {steps}."
        change = "trainer.fit(X, y, batch_size=32)"
        prior = 0.85 if setup.batches <= 2 else 0.55
        yield Suspicion("batch-size", prior, why, change, evidence, _changes.settings(batch_size=32))
    elif size <= 4 and n > 64:
        rows = f"the noise of {'these rows' if size > 1 else 'this row'}"
        why = f"With {counted(size, 'row')} in a batch, each step follows {rows}."
        change = "trainer.fit(X, y, batch_size=32)"
        yield Suspicion("batch-size", 0.8, why, change, evidence, _changes.settings(batch_size=32))


def regularisation(subject: Subject) -> Iterator[Suspicion]:
    """Suspect dropout and penalties that keep the net from learning."""
    setup = subject.setup
    rates = [each.p for each in setup.net.leaves if isinstance(each, Dropout)]
    decay = float(getattr(setup.optimizer, "weight_decay", 0.0) or 0.0)
    penalty = setup.penalty
    evidence: dict[str, Any] = {"dropout": rates, "l1": penalty.l1, "l2": penalty.l2, "weight_decay": decay}
    strong = max([*rates, 0.0]) > 0.5 or penalty.l1 > 1e-3 or penalty.l2 > 1e-2 or decay > 0.05
    if not (rates or penalty.l1 or penalty.l2 or decay):
        return
    why = "Dropout or penalties on the weights may be too strong"
    if subject.run is not None and subject.run.error is None:
        figure = figure_text(subject.score_of_seen.figure)
        why += f": even on the rows of the training the {subject.targets.figure} is {figure}"
    why += "."
    change = "Trainer(net, penalty=None)  # and nn.Dropout(0.2) or none, no weight_decay"
    yield Suspicion("regularisation", 0.9 if strong else 0.3, why, change, evidence, _changes.without_penalties)


def overfitting(subject: Subject) -> Iterator[Suspicion]:
    """Find a net that knows the rows it has seen by heart."""
    run = subject.run
    if run is None or run.error is not None or len(subject.setup.X) < 20 or subject.targets.task == "labels":
        return
    seen, held = subject.score_of_seen.figure, subject.score.figure
    error = 0.0 if subject.targets.task == "numbers" else 0.5 / math.sqrt(len(subject.held_out[0]))
    if seen - held < 0.08 + error:
        return
    losses = run.history.get("val_loss", [])
    best = int(np.nanargmin(losses)) + 1 if losses and np.isfinite(losses).any() else len(losses)
    evidence = {
        f"{subject.targets.figure} on rows seen": seen,
        f"{subject.targets.figure} on rows held out": held,
        "epoch of the least loss held out": best,
    }
    judged_by = "evidence" if seen - held > WIDE_GAP else "trial"
    why = f"The {subject.targets.figure} is {figure_text(seen)} on rows that the net has seen, and "
    why += f"{figure_text(held)} on others."
    if best < 0.7 * len(losses):
        change, hint = (
            "trainer.fit(X, y, epochs=...)  # fewer",
            "or callbacks=[fastnn.EarlyStopping()], with validation data",
        )
        share = best / len(losses)
        apply: _changes.Change = lambda setup: setup.changed(epochs=max(1, round(share * setup.epochs)))  # noqa: E731
        yield Suspicion("overfitting", 0.7, why, change, evidence, apply, judged_by=judged_by, hint=hint)
    change, hint = "Trainer(net, penalty=optim.Penalty(l2=0.1))", "or more rows, fewer units, nn.Dropout"
    apply = _changes.settings(penalty=Penalty(l2=0.1))
    yield Suspicion("overfitting", 0.7, why, change, evidence, apply, judged_by=judged_by, hint=hint)


def cannot_fit(subject: Subject) -> Iterator[Suspicion]:
    """Find a net that cannot even learn a few rows."""
    if not subject.valid or subject.run is None or isinstance(subject.setup.optimizer, FullBatch):
        return
    if subject.score_of_seen.figure > subject.targets.chance + LEARNED * (1.0 - subject.targets.chance):
        return
    few, targets = on_few_rows(subject)
    if subject.targets.task != "numbers" and targets.majority == 1.0:
        return
    try:
        run = few.fit()
        figure = targets.score(run.net, few.loss, few.X).figure
    except Exception:  # noqa: BLE001 - whatever a user's function raises, the other checks go on
        return
    if figure >= 0.9 and run.error is None:
        return
    why = f"Trained with {len(few.X)} rows alone, the net does not learn them: {subject.targets.figure} "
    why += f"{figure_text(figure)}."
    change = "fastnn.check_gradients(net, X[:20], y[:20])  # are the gradients of your own functions right?"
    if not any(is_custom(each) for each in subject.setup.net.leaves):
        change = "net = nn.Sequential(...)  # more units, nn.ReLU() between the layers, and optim.Adam(lr=0.001)"
    evidence = {"rows": len(few.X), "epochs": few.epochs, subject.targets.figure: figure}
    yield Suspicion("cannot-fit", 0.3, why, change, evidence, judged_by="evidence")


def on_few_rows(subject: Subject) -> tuple[Setup, Targets]:
    """Return the training on a few rows alone, for as many epochs as a net needs to learn them, and their targets."""
    rows = np.sort(np.random.default_rng(subject.seed).permutation(len(subject.setup.X))[:FIT_ROWS])
    few = _changes.without_penalties(subject.setup).take(rows).changed(batch_size=FIT_ROWS, augment=None)
    epochs = min(FIT_STEPS, max(20, int(0.1 * subject.budget / subject.step_seconds(few))))
    return few.changed(epochs=epochs), subject.targets.take(rows)


def is_custom(layer: Layer) -> bool:
    """Whether a layer runs functions of the user's own."""
    return isinstance(layer, CustomActivation) or not _records.is_own(type(layer))


CHECKS = (
    nonfinite, learning_rate_high, learning_rate_low, epochs, batch_size, regularisation, overfitting, cannot_fit,
)  # fmt: skip
