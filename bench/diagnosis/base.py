"""Random trainings without a fault: the healthy nets, and what faults are planted in."""

import numpy as np

from bench.diagnosis.tasks import TASKS, make_data, standardised
from bench.diagnosis.training import Training, changed, spread_of, with_lr
from fastnn import optim

__all__ = ["draw", "is_healthy", "neighbours"]

WIDTHS = (4, 8, 16, 32, 64, 128)
ROWS = (150, 300, 600, 1200, 2400, 3000)
STEPS = (600, 1000, 2000)  # of a training, about
ACTIVATIONS = ("relu", "relu", "tanh", "leaky_relu", "elu", "gelu", "sigmoid")
DEEPEST = {"sigmoid": 1, "tanh": 5}  # where they still train well without batch norms
SGD_DEEPEST = 3
NEAR, ROWS_NEAR = 0.02, 2  # how far a healthy net's figure, or how many rows, may lie below its best neighbour's
STEADY = 0.05  # the largest standard deviation of a healthy net's figures over seeds
GOOD = 0.3  # how much of the way from chance to perfect it has to go


def _optimizers(rng):
    """Return one of four optimisers with a rate that is usual for it."""
    return [
        optim.Adam(lr=float(rng.choice([1e-3, 3e-3, 1e-2]))),
        optim.RMSprop(lr=float(rng.choice([1e-3, 3e-3]))),
        optim.SGD(lr=float(rng.choice([0.03, 0.1]))),
        optim.SGD(lr=float(rng.choice([0.01, 0.03])), momentum=0.9),
    ][rng.integers(4)]


def draw(rng, *, tasks=tuple(TASKS), depth=(1, 8), widths=WIDTHS, activations=ACTIVATIONS, rows=ROWS, norm=0.3):
    """Return a random training that should do well.

    Parameters
    ----------
    rng : Generator
    tasks, widths, activations, rows : sequence
        What to choose from.
    depth : (int, int)
        The least and the largest number of hidden layers.
    norm : float
        The share of nets of three layers or more that have batch norms.
    """
    task, activation = str(rng.choice(tasks)), str(rng.choice(activations))
    data = standardised(make_data(task, rng, int(rng.choice(rows))))
    optimizer = _optimizers(rng)
    normed = depth[1] >= 3 and rng.random() < norm
    deepest = depth[1] if normed else min(depth[1], DEEPEST.get(activation, depth[1]))
    if isinstance(optimizer, optim.SGD) and not normed:
        deepest = min(deepest, SGD_DEEPEST)
    layers = int(rng.integers(depth[0], max(deepest, depth[0]) + 1))
    width, batch = int(rng.choice(widths)), int(rng.choice([16, 32, 64]))
    steps = int(rng.choice(STEPS))
    one = data.classes == 2 and rng.random() < 0.5
    loss = "mean_squared_error" if not data.classes else "bce_with_logits" if one else "cross_entropy"
    return Training(
        data=data,
        hidden=(width,) * layers,
        activation=activation,
        out=1 if one or not data.classes else data.classes,
        loss=loss,
        optimizer=optimizer,
        epochs=int(np.clip(steps * batch // len(data.X), 10, 200)),
        batch_size=batch,
        norm=0.1 if normed else None,
        validation=bool(rng.random() < 0.8),
    )


def neighbours(training):
    """Return trainings with one setting changed: is one of them better, the training can be improved."""
    return [
        changed(training, epochs=max(1, training.epochs // 4)),
        changed(training, optimizer=with_lr(training.optimizer, 4)),
        changed(training, optimizer=with_lr(training.optimizer, 1 / 4)),
        changed(training, penalty=optim.Penalty(l2=1e-3)),
        changed(training, hidden=training.hidden[:1]),
        changed(training, hidden=tuple(max(16, 2 * width) for width in training.hidden)),
        changed(training, epochs=training.epochs * 3),
    ]


def is_healthy(training, seeds=range(5)):
    """Return whether the net does well for all seeds, its mean figure, and the best of those of its neighbours."""
    figure, spread = spread_of(training.figures(seeds))
    chance = _chance(training.data)
    if figure < chance + GOOD * (1 - chance) or spread > STEADY:
        return False, figure, figure
    best, near = figure, max(NEAR, ROWS_NEAR / len(training.data.X_held))
    for other in neighbours(training):
        best = max(best, spread_of(other.figures(seeds))[0])
        if best > figure + near:
            return False, figure, best
    return True, figure, best


def _chance(data):
    if not data.classes:
        return 0.0
    return float(np.bincount(data.y_held, minlength=data.classes).max() / len(data.y_held))
