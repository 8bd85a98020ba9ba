"""Augmentation: new rows made of the old ones.

What the post says
------------------
Augmentation of the data is one of the remedies against overfitting.

Formula
-------
    shift:  image moved by -1, 0 or 1 pixels, down and to the right
    noise:  x + 0.3 * z                                 z normally distributed

They are drawn anew for each batch. They say to the net what makes no difference: a digit that is moved by a pixel is
the same digit.

What to look at
---------------
First, 150 images with right classes. New images are as well centred as those, so that the net never needs what shifts
teach: on plain new images shifts help no more than by chance. Noise does help a little. Each helps most with images
that are like the made ones, moved or noisy, and not with the other kind; shifts even harm with noisy images. A net
learns what it is shown. So choose changes that will occur, and that do not change the class.

Then, 300 images of which 30 % have a random class. Now the net has wrong classes to learn by heart, and both keep it
from that, as no image is shown twice: far fewer of the plain new images are wrong. Here they are what the post says.

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
from fastnn.lab import Below, Figures, Measured
from fastnn.lab._overfitting import noisy_digits, trained
from fastnn.plot import _style

POST = "001"
QUESTION = "What helps against overfitting?"
TWINS = ("shift_images", "add_noise")
SEEDS = 3

CONDITIONS: dict[str, list[data.Augmentation]] = {
    "none": [],
    "shift": [data.RandomShift((8, 8), pixels=1)],
    "noise": [data.GaussianNoise(0.3)],
}
TESTS = ("plain", "moved", "noisy", "plain, random classes")


def measure(seed: int) -> Figures:
    """Train with each augmentation, with right classes and with some random ones; test with several kinds of images."""
    right = noisy_digits(seed, rows=150, noise=0.0)
    wrong = noisy_digits(seed, rows=300, noise=0.3)
    moved = kernels.shift_images(right.X_test, (8, 8), 1, seed=seed)
    noisy = kernels.add_noise(right.X_test, 0.3, seed=seed)
    found: dict[str, dict[str, Any]] = {}
    for name, augment in CONDITIONS.items():
        trainer = trained(right, seed, augment=augment, epochs=200)
        by_heart = trained(wrong, seed, augment=augment)
        tests = zip(
            TESTS,
            (trainer, trainer, trainer, by_heart),
            ((right.X_test, right.y_test), (moved, right.y_test), (noisy, right.y_test), (wrong.X_test, wrong.y_test)),
            strict=True,
        )
        found[name] = {f"errors, {test}": 1 - of.evaluate(*rows)["accuracy"] for test, of, rows in tests}
        found[name]["training accuracy, random classes"] = by_heart.evaluate(wrong.X, wrong.y)["accuracy"]
    return found


PLAIN, MOVED, NOISY, WRONG = (f"errors, {test}" for test in TESTS)
CLAIMS = (
    Below("Plain images: with noise there are fewer errors,", ("noise", PLAIN), ("none", PLAIN), 1.05),
    Below("with shifts at most 15 % fewer.", ("none", PLAIN), ("shift", PLAIN), 0.85),
    Below("Moved images: shifts in training help,", ("shift", MOVED), ("none", MOVED), 2),
    Below("and noise less.", ("shift", MOVED), ("noise", MOVED), 2),
    Below("Noisy images: noise in training helps,", ("noise", NOISY), ("none", NOISY), 1.1),
    Below("and shifts harm.", ("none", NOISY), ("shift", NOISY), 1.2),
    *(Below(f"Random classes: {each} helps.", (each, WRONG), ("none", WRONG), 1.2) for each in ("shift", "noise")),
)


def draw(measured: Measured, panel: Any) -> None:
    """Draw the mean errors with each augmentation, and their range."""
    for i, name in enumerate(CONDITIONS):
        errors = np.stack([measured[name][f"errors, {test}"] for test in TESTS], axis=1)
        _style.points(panel, i, np.arange(len(TESTS)) + 0.12 * (i - 1), errors, name)
    panel.set_xticks(range(len(TESTS)), [test.replace(", ", ",\n") for test in TESTS])
    panel.set(xlabel="test images", ylabel="share of errors", ylim=(0, None))
    _style.legend(panel)
