"""Augmentation: new rows made of the old ones.

What the post says
------------------
Augmentation of the data is one of the remedies against overfitting.

Formula
-------
    shift:  image moved by -1, 0 or 1 pixels, down and to the right
    noise:  x + 0.4 * z                                 z normally distributed

They are drawn anew for each batch. They say to the net what makes no difference: a digit that is moved by a pixel is
the same digit.

What to look at
---------------
The net has 150 images to learn from. Without augmentation it makes few errors on new images, which are as well centred
as those it knows, and many on images that are moved by a pixel: a dense layer does not know which pixels are
neighbours. With shifts in training it copes with moved images, with noise it copes with noisy ones, and not the other
way round: what helps with one can harm with the other. A net learns what it is shown. So choose changes that will
occur, and that do not change the class.

What to try
-----------
- ``data.RandomFlip``: a mirrored 2 is no 2. What does it cost?
- Shifts by up to 3 pixels: parts of the digits are cut off.
- Both in one list: with which images does it help?
- ``data.Mixup()``: what does it help with?
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import data, kernels
from fastnn.lab._claims import Below, Figures, Measured
from fastnn.lab._overfitting import noisy_digits, trained
from fastnn.plot import _style

POST = "001"
QUESTION = "What helps against overfitting?"
TWINS = ("shift_images", "add_noise")
SEEDS = 4

CONDITIONS: dict[str, list[data.Augmentation]] = {
    "none": [],
    "shift": [data.RandomShift((8, 8), pixels=1)],
    "noise": [data.GaussianNoise(0.4)],
}


def measure(seed: int) -> Figures:
    """Train with each augmentation on 150 images, and test with plain, with moved and with noisy ones."""
    task = noisy_digits(seed, rows=150, noise=0.0)
    tests = {
        "plain": task.X_test,
        "moved": kernels.shift_images(task.X_test, (8, 8), 1, seed=seed),
        "noisy": kernels.add_noise(task.X_test, 0.4, seed=seed),
    }
    found: dict[str, dict[str, Any]] = {}
    for name, augment in CONDITIONS.items():
        trainer = trained(task, seed, augment=augment)
        errors = {f"errors, {test}": 1 - trainer.evaluate(X, task.y_test)["accuracy"] for test, X in tests.items()}
        found[name] = {"training accuracy": trainer.evaluate(task.X, task.y)["accuracy"], **errors}
    return found


MOVED, NOISY = "errors, moved", "errors, noisy"
CLAIMS = (
    Below("Shifts in training help with moved images.", ("shift", MOVED), ("none", MOVED), 2),
    Below("Noise helps less with them.", ("shift", MOVED), ("noise", MOVED), 2),
    Below("Noise in training helps with noisy images.", ("noise", NOISY), ("none", NOISY), 1.1),
    Below("Shifts help less with them.", ("noise", NOISY), ("shift", NOISY), 1.2),
    Below("They even harm.", ("none", NOISY), ("shift", NOISY), 1.2),
)


def draw(measured: Measured, panel: Any) -> None:
    """Draw the mean errors with each augmentation, and their range."""
    for i, name in enumerate(CONDITIONS):
        errors = np.stack([measured[name][f"errors, {test}"] for test in ("plain", "moved", "noisy")], axis=1)
        places = np.arange(3) + 0.12 * (i - 1)
        _style.line(panel, i, places, errors.mean(axis=0), name, linestyle="none", markersize=7)
        panel.vlines(places, errors.min(axis=0), errors.max(axis=0), color=_style.style(i)["color"])
    panel.set_xticks(range(3), ["plain", "moved", "noisy"])
    panel.set(xlabel="test images", ylabel="share of errors", ylim=(0, None))
    _style.legend(panel)
