"""The task on which the remedies against overfitting are compared, and the training without any of them."""

from __future__ import annotations

from typing import Any

import numpy as np

import fastnn
from fastnn import nn, optim
from fastnn._typing import Array
from fastnn.lab._tasks import Task, fit, real

EPOCHS = 100


def noisy_digits(seed: int, rows: int = 300, noise: float = 0.3) -> Task:
    """Return few digits, of which some have a random class, and 1000 digits with their right classes to test with."""
    task = real("digits", rows, seed=seed, noise=noise)
    return task._replace(X_test=task.X_test[:1000], y_test=task.y_test[:1000])


def wide_net(seed: int, dropout: float = 0.0, batch_norm: bool = False) -> nn.Sequential:
    """Return a net that is large enough to learn some hundred digits by heart."""
    norm = [nn.BatchNorm(256)] if batch_norm else []
    return nn.Sequential(nn.Dense(64, 256), *norm, nn.ReLU(), nn.Dropout(dropout), nn.Dense(256, 10), seed=seed)


def trained(
    task: Task,
    seed: int,
    *,
    dropout: float = 0.0,
    batch_norm: bool = False,
    epochs: int = EPOCHS,
    steady: bool = False,
    **settings: Any,
) -> fastnn.Trainer:
    """Train the wide net; its learning rate falls to 0, which makes the end less random, unless it is steady."""
    schedule = None if steady else optim.CosineAnnealingLR()
    optimizer = optim.SGD(lr=0.05, momentum=0.9)
    model = wide_net(seed, dropout, batch_norm)
    return fit(model, task, epochs=epochs, optimizer=optimizer, schedule=schedule, **settings)


def test_figures(probabilities: Array, task: Task) -> dict[str, float]:
    """Return accuracy and log-loss of probabilities for the test rows."""
    of_right_class = probabilities[np.arange(len(task.y_test)), task.y_test]
    return {
        "test accuracy": float(np.mean(probabilities.argmax(axis=1) == task.y_test)),
        "test loss": float(-np.log(of_right_class).mean()),
    }
