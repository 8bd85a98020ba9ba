"""Schedules against tables: PyTorch's values, at the times where off-by-one shows."""

import math

import numpy as np
import pytest

from fastnn import optim

# schedule, times, rates from a base of 2.0 (PyTorch 2's scheduler after so many calls of step())
TABLE = {
    "StepLR": (optim.StepLR(3, gamma=0.5), [0, 1, 2, 3, 5, 6, 9], [2, 2, 2, 1, 1, 0.5, 0.25]),
    "ExponentialLR": (optim.ExponentialLR(0.5), [0, 1, 2, 3], [2, 1, 0.5, 0.25]),
    "LinearLR": (optim.LinearLR(0.5, 1.0, total_iters=4), [0, 1, 2, 3, 4, 5, 99], [1, 1.25, 1.5, 1.75, 2, 2, 2]),
    "LinearLR, defaults": (optim.LinearLR(), [0, 5, 6], [2 / 3, 2, 2]),
    "CosineAnnealingLR": (optim.CosineAnnealingLR(4), [0, 1, 2, 4], [2, 1 + math.sqrt(0.5), 1, 0]),
    "CosineAnnealingLR, eta_min": (optim.CosineAnnealingLR(10, eta_min=0.5), [0, 5, 10], [2, 1.25, 0.5]),
    "LambdaLR": (optim.LambdaLR(lambda t: 1 / (1 + t)), [0, 1, 3], [2, 1, 0.5]),
}


@pytest.mark.parametrize("name", TABLE)
def test_table(name):
    schedule, times, rates = TABLE[name]
    have = [schedule(2.0, epoch=t, step=[17])[0] for t in times]
    np.testing.assert_allclose(have, rates, rtol=1e-14, atol=1e-15)
    np.testing.assert_array_equal(schedule(2.0, epoch=times[-1], step=range(3)), [have[-1]] * 3)


@pytest.mark.parametrize("name", TABLE)
def test_by_step(name):
    schedule, times, rates = TABLE[name]
    settings = {**vars(schedule), "every": "step"}
    have = type(schedule)(**settings)(2.0, epoch=5, step=times)
    assert have.dtype == np.float64
    np.testing.assert_allclose(have, rates, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize(
    ("error", "make"),
    [
        (ValueError, lambda: optim.StepLR(0)),
        (TypeError, lambda: optim.StepLR(1.5)),
        (ValueError, lambda: optim.StepLR(1, every="batch")),
        (ValueError, lambda: optim.ExponentialLR(-1.0)),
        (ValueError, lambda: optim.CosineAnnealingLR(0)),
        (ValueError, lambda: optim.LinearLR(total_iters=0)),
        (ValueError, lambda: optim.SGD(lr=-1)),
        (ValueError, lambda: optim.SGD(momentum=1.0)),
        (ValueError, lambda: optim.SGD(nesterov=True)),
        (ValueError, lambda: optim.Adam(betas=(0.9, 1.0))),
        (TypeError, lambda: optim.Adam(betas=0.9)),
        (TypeError, lambda: optim.Adam(lr="fast")),
        (ValueError, lambda: optim.Adam(eps=float("nan"))),
        (ValueError, lambda: optim.RMSprop(alpha=1.5)),
    ],
)
def test_settings_out_of_range(error, make):
    with pytest.raises(error, match="expected"):
        make()


@pytest.mark.parametrize(
    ("optimizer", "kind", "slots"),
    [
        (optim.SGD(), "sgd", 0),
        (optim.SGD(momentum=0.5), "momentum", 1),
        (optim.SGD(momentum=0.5, nesterov=True), "nesterov", 1),
        (optim.RMSprop(), "rmsprop", 1),
        (optim.Adam(), "adam", 2),
    ],
)
def test_optimizers_tell_the_kernels_what_to_do(optimizer, kind, slots):
    assert (optimizer.kind, optimizer.n_slots) == (kind, slots)
    rows = optimizer.scalars(np.arange(1, 5), np.full(4, 0.5))
    assert rows.shape[0] == 4
    assert rows.dtype == np.float64
    one_by_one = np.concatenate([optimizer.scalars([step], [0.5]) for step in range(1, 5)])
    np.testing.assert_array_equal(rows, one_by_one)
