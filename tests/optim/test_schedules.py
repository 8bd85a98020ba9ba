"""Schedules: compared with tables of PyTorch's values, at times that show off-by-one errors, and with PyTorch."""

import dataclasses
import math
import pickle
import warnings

import numpy as np
import pytest

import fastnn
from fastnn import nn, optim

ROOT = math.sqrt(0.5)
HALVES, STEPS = optim.ExponentialLR(0.5), optim.ExponentialLR(0.5, every="step")

# Schedule, times, rates from a base of 2.0 (those of PyTorch 2's scheduler after as many calls of step() as the time).
TABLE = {
    "ConstantLR": (optim.ConstantLR(0.25, total_iters=3), [0, 2, 3, 4], [0.5, 0.5, 2, 2]),
    "StepLR": (optim.StepLR(3, gamma=0.5), [0, 1, 2, 3, 5, 6, 9], [2, 2, 2, 1, 1, 0.5, 0.25]),
    "MultiStepLR": (
        optim.MultiStepLR([5, 2, 5, 6], gamma=0.5),
        [0, 1, 2, 4, 5, 6, 99],
        [2, 2, 1, 1, 0.25, 1 / 8, 1 / 8],
    ),
    "ExponentialLR": (optim.ExponentialLR(0.5), [0, 1, 2, 3], [2, 1, 0.5, 0.25]),
    "InverseTimeLR": (optim.InverseTimeLR(0.5), [0, 1, 2, 6], [2, 4 / 3, 1, 0.5]),
    "InverseTimeLR, power": (optim.InverseTimeLR(100.0, power=0.5), [0, 1, 3], [2, 2 / 101**0.5, 2 / 301**0.5]),
    "LinearLR": (optim.LinearLR(0.5, 1.0, total_iters=4), [0, 1, 2, 3, 4, 5, 99], [1, 1.25, 1.5, 1.75, 2, 2, 2]),
    "LinearLR, defaults": (optim.LinearLR(), [0, 5, 6], [2 / 3, 2, 2]),
    "PolynomialLR": (optim.PolynomialLR(4, power=2.0), [0, 1, 2, 3, 4, 9], [2, 9 / 8, 0.5, 1 / 8, 0, 0]),
    "CosineAnnealingLR": (optim.CosineAnnealingLR(4), [0, 1, 2, 4], [2, 1 + ROOT, 1, 0]),
    "CosineAnnealingLR, past its end": (optim.CosineAnnealingLR(4), [5, 6, 8, 9], [1 - ROOT, 1, 2, 1 + ROOT]),
    "CosineAnnealingLR, eta_min": (optim.CosineAnnealingLR(10, eta_min=0.5), [0, 5, 10], [2, 1.25, 0.5]),
    "CosineAnnealingWarmRestarts": (
        optim.CosineAnnealingWarmRestarts(2, eta_min=1.0),
        [0, 1, 2, 3, 4],
        [2, 1.5, 2, 1.5, 2],
    ),
    "CosineAnnealingWarmRestarts, T_mult": (
        optim.CosineAnnealingWarmRestarts(2, T_mult=3),
        [0, 1, 2, 5, 7, 8, 17, 25, 26],
        [2, 1, 2, 1, 1 + math.cos(math.pi * 5 / 6), 2, 1, 1 + math.cos(math.pi * 17 / 18), 2],
    ),
    "OneCycleLR": (
        optim.OneCycleLR(1.0, 11, pct_start=5 / 11, div_factor=4.0, final_div_factor=10.0),
        [0, 2, 4, 7, 10, 11, 99],
        [0.25, 0.625, 1, (1 + 0.025) / 2, 0.025, 0.025, 0.025],
    ),
    "OneCycleLR, from the base": (
        optim.OneCycleLR(None, 11, 5 / 11, "linear", div_factor=4.0, final_div_factor=10.0),
        [0, 1, 4, 7, 10],
        [0.5, 0.875, 2, (2 + 0.05) / 2, 0.05],
    ),
    "OneCycleLR, three phases": (
        optim.OneCycleLR(1.0, 20, 0.25, "linear", div_factor=5.0, final_div_factor=2.0, three_phase=True),
        [0, 2, 4, 6, 8, 19],
        [0.2, 0.6, 1, 0.6, 0.2, 0.1],
    ),
    "OneCycleLR, all of it rising": (optim.OneCycleLR(1.0, 5, 1.0, "linear", 5.0), [0, 2, 4, 5], [0.2, 0.6, 1, 1]),
    "OneCycleLR, one step": (optim.OneCycleLR(1.0, 1, 1.0), [0, 1], [1, 1]),
    "LambdaLR": (optim.LambdaLR(lambda t: 1 / (1 + t)), [0, 1, 3], [2, 1, 0.5]),
    "WarmupLR": (
        optim.WarmupLR(optim.CosineAnnealingLR(2), total_iters=4, start_factor=0.5),
        [0, 1, 2, 3, 4, 5, 6],
        [1, 1.25, 1.5, 1.75, 2, 1, 0],
    ),
    "WarmupLR, to the other's first rate": (
        optim.WarmupLR(optim.ConstantLR(0.5, 1), total_iters=2, start_factor=0.0),
        [0, 1, 2, 3],
        [0, 0.5, 1, 2],
    ),
    "SequentialLR": (
        optim.SequentialLR([HALVES, optim.LinearLR(0.0, 1.0, 2), HALVES], [2, 5]),
        [0, 1, 2, 3, 4, 5, 6],
        [2, 1, 0, 1, 2, 2, 1],
    ),
    "ChainedScheduler": (
        optim.ChainedScheduler([HALVES, optim.LinearLR(0.5, 1.0, 2)]),
        [0, 1, 2, 3],
        [1, 0.75, 0.5, 0.25],
    ),
    "of schedules of schedules": (
        optim.WarmupLR(optim.SequentialLR([optim.ChainedScheduler([HALVES, HALVES]), HALVES], [1]), 2, 0.5),
        [0, 1, 2, 3, 4],
        [1, 1.5, 2, 2, 1],
    ),
}


def by_step(schedule):
    """Return the same schedule with a time that counts steps."""
    settings = {f.name: getattr(schedule, f.name) for f in dataclasses.fields(schedule) if f.init} | {"every": "step"}
    inner = {"after": by_step, "schedules": lambda schedules: [by_step(schedule) for schedule in schedules]}
    for name in settings.keys() & inner.keys():
        settings[name] = inner[name](settings[name])
        settings.pop("every", None)
    return type(schedule)(**settings)


def by_epoch(schedule):
    return schedule if schedule.every == "epoch" else dataclasses.replace(schedule, every="epoch")


@pytest.mark.parametrize("name", TABLE)
def test_table(name):
    schedule, times, rates = TABLE[name]
    schedule = by_epoch(schedule)
    have = [schedule(2.0, epoch=t, step=[17])[0] for t in times]
    np.testing.assert_allclose(have, rates, rtol=1e-14, atol=1e-15)
    np.testing.assert_array_equal(schedule(2.0, epoch=times[-1], step=range(3)), [have[-1]] * 3)
    assert schedule(2.0, epoch=times[-1], step=[]).shape == (0,)


@pytest.mark.parametrize("name", TABLE)
def test_by_step(name):
    schedule, times, rates = TABLE[name]
    have = by_step(schedule)(2.0, epoch=5, step=times)
    assert have.dtype == np.float64
    np.testing.assert_allclose(have, rates, rtol=1e-14, atol=1e-15)


def test_every_schedule_is_in_the_table_and_the_registry():
    kinds = {type(schedule) for schedule, _, _ in TABLE.values()}
    assert kinds == set(optim.SCHEDULES.values())
    assert {name: getattr(optim, name) for name in optim.__all__ if name in optim.SCHEDULES} == optim.SCHEDULES
    assert {name for name in optim.__all__ if name.endswith("LR")} <= optim.SCHEDULES.keys()


def test_chain_of_epochs_and_steps():
    """Warm-up by step over the first epochs of a schedule by epoch."""
    chain = optim.ChainedScheduler([optim.LinearLR(0.0, 1.0, 4, every="step"), HALVES])
    assert chain.every == "epoch and step"
    np.testing.assert_array_equal(chain(2.0, 0, range(3)), [0, 0.5, 1])
    np.testing.assert_array_equal(chain(2.0, 1, range(3, 6)), [0.75, 1, 1])


def test_schedules_are_values():
    for schedule, _, _ in TABLE.values():
        if "LambdaLR" not in repr(schedule):  # a lambda cannot be pickled
            assert pickle.loads(pickle.dumps(schedule)) == schedule
        assert hash(schedule) == hash(dataclasses.replace(schedule))


# ---- PyTorch's schedulers as oracle ----

# The schedule, and a function that makes PyTorch's from torch's module of schedulers and an optimiser.
PYTORCH = {
    "ConstantLR": (optim.ConstantLR(0.3, 40), lambda s, o: s.ConstantLR(o, 0.3, 40)),
    "StepLR": (optim.StepLR(7, 0.7), lambda s, o: s.StepLR(o, 7, 0.7)),
    "MultiStepLR": (optim.MultiStepLR([80, 3, 30, 30], 0.6), lambda s, o: s.MultiStepLR(o, [80, 3, 30, 30], 0.6)),
    "ExponentialLR": (optim.ExponentialLR(0.95), lambda s, o: s.ExponentialLR(o, 0.95)),
    "LinearLR": (optim.LinearLR(0.1, 0.9, 60), lambda s, o: s.LinearLR(o, 0.1, 0.9, 60)),
    "PolynomialLR": (optim.PolynomialLR(90, 1.7), lambda s, o: s.PolynomialLR(o, 90, 1.7)),
    "CosineAnnealingLR": (optim.CosineAnnealingLR(30, 0.01), lambda s, o: s.CosineAnnealingLR(o, 30, 0.01)),
    "CosineAnnealingWarmRestarts": (
        optim.CosineAnnealingWarmRestarts(9, 1, 0.02),
        lambda s, o: s.CosineAnnealingWarmRestarts(o, 9, 1, 0.02),
    ),
    "CosineAnnealingWarmRestarts, T_mult": (
        optim.CosineAnnealingWarmRestarts(4, 3, 0.02),
        lambda s, o: s.CosineAnnealingWarmRestarts(o, 4, 3, 0.02),
    ),
    **{
        f"OneCycleLR, {anneal}, {phases} phases, {start}": (
            optim.OneCycleLR(0.7, 101, start, anneal, 20.0, 300.0, phases == 3),
            lambda s, o, start=start, anneal=anneal, phases=phases: s.OneCycleLR(
                o, 0.7, 101, None, None, start, anneal, False, 0.85, 0.95, 20.0, 300.0, phases == 3
            ),
        )
        for anneal in ("cos", "linear")
        for phases in (2, 3)
        for start in (0.0, 0.3, 0.5)
    },
    "LambdaLR": (optim.LambdaLR(lambda t: 1 / (2 + t)), lambda s, o: s.LambdaLR(o, lambda t: 1 / (2 + t))),
    "WarmupLR": (
        optim.WarmupLR(optim.CosineAnnealingLR(80, 0.01), 20, 0.1),
        lambda s, o: s.SequentialLR(o, [s.LinearLR(o, 0.1, 1.0, 20), s.CosineAnnealingLR(o, 80, 0.01)], [20]),
    ),
    "SequentialLR": (
        optim.SequentialLR([optim.ConstantLR(0.2, 10), optim.StepLR(5, 0.5), optim.ExponentialLR(0.9)], [20, 60]),
        lambda s, o: s.SequentialLR(
            o, [s.ConstantLR(o, 0.2, 10), s.StepLR(o, 5, 0.5), s.ExponentialLR(o, 0.9)], [20, 60]
        ),
    ),
    "ChainedScheduler": (
        optim.ChainedScheduler([optim.LinearLR(0.1, 1.0, 20), optim.ExponentialLR(0.97), optim.MultiStepLR([30])]),
        lambda s, o: s.ChainedScheduler(
            [s.LinearLR(o, 0.1, 1.0, 20), s.ExponentialLR(o, 0.97), s.MultiStepLR(o, [30])]
        ),
    ),
}


@pytest.mark.parametrize("name", PYTORCH)
def test_equals_pytorchs(name):
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle, is not installed")
    schedule, make = PYTORCH[name]
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's warnings about its own calls
        scheduler, want = make(torch.optim.lr_scheduler, optimizer), []
        for _ in range(101):
            want.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
    have = [by_epoch(schedule)(0.3, epoch, [0])[0] for epoch in range(101)]
    np.testing.assert_allclose(have, want, rtol=0, atol=1e-12 * max(want))
    steps = by_step(schedule)(0.3, 0, range(101))
    np.testing.assert_allclose(steps, have, rtol=1e-15)
    np.testing.assert_array_equal(by_step(schedule)(0.3, 0, range(37, 99)), steps[37:99])  # starting at any step


def test_invscaling_is_scikit_learns():
    network = pytest.importorskip("sklearn.neural_network._stochastic_optimizers", reason="scikit-learn is missing")
    rows, oracle = 150, network.SGDOptimizer([np.zeros(1)], 0.3, "invscaling", power_t=0.7)
    schedule = optim.InverseTimeLR(rows, power=0.7)
    for epoch in range(100):
        assert schedule(0.3, epoch, [0])[0] == pytest.approx(oracle.learning_rate, rel=1e-14)
        oracle.iteration_ends((epoch + 1) * rows)


# ---- refused settings ----

CHAIN = optim.ChainedScheduler([HALVES, STEPS])

LEAST_0 = "a finite number of at least 0"
LEAST_1 = "an integer of at least 1"
REFUSED = {
    "OneCycleLR of no step": (ValueError, f"total_steps must be {LEAST_1}, got 0", lambda: optim.OneCycleLR(0.1, 0)),
    "OneCycleLR, pct_start": (
        ValueError,
        r"pct_start must be a number in \[0, 1\], got 1.1",
        lambda: optim.OneCycleLR(0.1, 9, 1.1),
    ),
    "OneCycleLR, three phases": (
        ValueError,
        r"pct_start must be a number in \[0, 0.5\], got 0.6",
        lambda: optim.OneCycleLR(0.1, 9, 0.6, three_phase=True),
    ),
    "OneCycleLR, no bool": (
        TypeError,
        "three_phase must be True or False, got 3",
        lambda: optim.OneCycleLR(0.1, 9, three_phase=3),
    ),
    "OneCycleLR, shape": (
        ValueError,
        "anneal_strategy must be one of cos, linear, got 'cubic'",
        lambda: optim.OneCycleLR(0.1, 9, 0.3, "cubic"),
    ),
    "OneCycleLR, div_factor": (
        ValueError,
        "div_factor must be a finite number of at least 1, got 0.5",
        lambda: optim.OneCycleLR(0.1, 9, div_factor=0.5),
    ),
    "OneCycleLR, max_lr": (ValueError, f"max_lr must be {LEAST_0}, got -0.1", lambda: optim.OneCycleLR(-0.1, 9)),
    "PolynomialLR, power": (ValueError, f"power must be {LEAST_0}, got -1.0", lambda: optim.PolynomialLR(3, -1.0)),
    "LinearLR of no time": (ValueError, f"total_iters must be {LEAST_1}, got 0", lambda: optim.LinearLR(total_iters=0)),
    "LinearLR, factor": (ValueError, f"end_factor must be {LEAST_0}, got -1.0", lambda: optim.LinearLR(1.0, -1.0)),
    "CosineAnnealingLR, T_max": (ValueError, f"T_max must be {LEAST_1}, got 0", lambda: optim.CosineAnnealingLR(0)),
    "CosineAnnealingLR, eta_min": (
        ValueError,
        f"eta_min must be {LEAST_0}, got -1.0",
        lambda: optim.CosineAnnealingLR(3, -1.0),
    ),
    "restarts, T_0": (ValueError, f"T_0 must be {LEAST_1}, got 0", lambda: optim.CosineAnnealingWarmRestarts(0)),
    "restarts, T_mult": (
        TypeError,
        f"T_mult must be {LEAST_1}, got 1.5",
        lambda: optim.CosineAnnealingWarmRestarts(1, 1.5),
    ),
    "ConstantLR": (ValueError, f"factor must be {LEAST_0}, got inf", lambda: optim.ConstantLR(float("inf"))),
    "ConstantLR, bool": (TypeError, f"factor must be {LEAST_0}, got True", lambda: optim.ConstantLR(True)),
    "ExponentialLR": (ValueError, f"gamma must be {LEAST_0}, got -1.0", lambda: optim.ExponentialLR(-1.0)),
    "StepLR of no time": (ValueError, f"step_size must be {LEAST_1}, got 0", lambda: optim.StepLR(0)),
    "StepLR, kind": (TypeError, f"step_size must be {LEAST_1}, got 1.5", lambda: optim.StepLR(1.5)),
    "MultiStepLR": (TypeError, "milestones must be a sequence of integers, got int", lambda: optim.MultiStepLR(3)),
    "MultiStepLR, kind": (
        TypeError,
        rf"milestones\[1\] must be {LEAST_1}, got 4.5",
        lambda: optim.MultiStepLR([3, 4.5]),
    ),
    "MultiStepLR, 0": (ValueError, rf"milestones\[0\] must be {LEAST_1}, got 0", lambda: optim.MultiStepLR([0])),
    "InverseTimeLR": (ValueError, f"decay must be {LEAST_0}, got -1.0", lambda: optim.InverseTimeLR(-1.0)),
    "LambdaLR": (TypeError, "factor must be a function of the time, got float", lambda: optim.LambdaLR(0.5)),
    "LambdaLR, result": (
        ValueError,
        f"the result of the schedule's function must be {LEAST_0}, got -1.0",
        lambda: optim.LambdaLR(lambda t: -1.0)(1.0, 0, [0]),
    ),
    "LambdaLR, no number": (
        TypeError,
        f"the result of the schedule's function must be {LEAST_0}, got None",
        lambda: optim.LambdaLR(lambda t: None)(1.0, 0, [0]),
    ),
    "WarmupLR": (TypeError, "after must be a schedule of fastnn.optim, got int", lambda: optim.WarmupLR(5)),
    "WarmupLR of a class": (
        TypeError,
        r"after must be a schedule of fastnn.optim, got the class StepLR: write optim.StepLR\(\.\.\.\)",
        lambda: optim.WarmupLR(optim.StepLR),
    ),
    "WarmupLR of a mixed chain": (
        ValueError,
        "after must count epochs or steps, not both, got every='epoch and step': only optim.ChainedScheduler .* both",
        lambda: optim.WarmupLR(CHAIN),
    ),
    "SequentialLR, units of time": (
        ValueError,
        "schedules must have the same value of every, got 'epoch' and 'step'",
        lambda: optim.SequentialLR([HALVES, STEPS], [3]),
    ),
    "SequentialLR, number": (
        ValueError,
        "milestones must have length 1, one less than that of schedules, got length 2",
        lambda: optim.SequentialLR([HALVES, HALVES], [3, 4]),
    ),
    "SequentialLR, order": (
        ValueError,
        r"milestones must be strictly increasing, got \(4, 4\)",
        lambda: optim.SequentialLR([HALVES] * 3, [4, 4]),
    ),
    "SequentialLR, kind": (
        TypeError,
        r"schedules\[1\] must be a schedule of fastnn.optim, got builtin_function_or_method",
        lambda: optim.SequentialLR([HALVES, math.exp], [4]),
    ),
    "SequentialLR of a class": (
        TypeError,
        r"schedules\[1\] must be a schedule of fastnn.optim, got the class LinearLR: write optim.LinearLR\(\)",
        lambda: optim.SequentialLR([HALVES, optim.LinearLR], [4]),
    ),
    "ChainedScheduler": (
        ValueError,
        "schedules must contain at least one schedule, got none",
        lambda: optim.ChainedScheduler([]),
    ),
    "ChainedScheduler, kind": (
        TypeError,
        r"schedules must be a sequence of schedules, got ExponentialLR: write schedules=\[schedule\]",
        lambda: optim.ChainedScheduler(HALVES),
    ),
    "StepLR, every": (
        ValueError,
        "every must be one of epoch, step, got 'batch'",
        lambda: optim.StepLR(1, every="batch"),
    ),
    "StepLR, every of a wrong kind": (
        TypeError,
        "every must be one of epoch, step, got bool",
        lambda: optim.StepLR(1, every=True),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    error, message, make = REFUSED[case]
    with pytest.raises(error, match=f"^{message}$"):
        make()


def test_a_factor_may_be_a_condition():
    assert optim.LambdaLR(lambda t: t < 2, every="step")(0.5, 0, [0, 1, 2]).tolist() == [0.5, 0.5, 0.0]


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
def test_optimisers_choose_their_kernels(optimizer, kind, slots):
    assert (optimizer.kind, optimizer.n_slots) == (kind, slots)
    rows = optimizer.scalars(np.arange(1, 5), np.full(4, 0.5))
    assert rows.shape[0] == 4
    assert rows.dtype == np.float64
    one_by_one = np.concatenate([optimizer.scalars([step], [0.5]) for step in range(1, 5)])
    np.testing.assert_array_equal(rows, one_by_one)


@pytest.mark.parametrize("name", ["OneCycleLR, cos, 2 phases, 0.3", "WarmupLR", "ChainedScheduler", "StepLR"])
@pytest.mark.parametrize("every", ["epoch", "step"])
def test_training_equals_pytorchs(impl, name, every):
    """100 updates of the trainer, with rates by step or by epoch, are those of PyTorch's optimiser and scheduler."""
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle, is not installed")
    schedule, make = PYTORCH[name]
    X = 0.5 * np.random.default_rng(0).normal(size=(6, 3))
    y = X @ [[1.0], [-2.0], [0.5]]
    net = nn.Sequential(nn.Dense(3, 1, init="zeros", bias=False), dtype="float64", seed=0)
    schedule = by_step(schedule) if every == "step" else by_epoch(schedule)
    trainer = fastnn.Trainer(net, "mean_squared_error", optim.SGD(0.3, momentum=0.5), schedule)
    weight = torch.zeros(3, 1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=0.3, momentum=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's warnings about its own calls
        scheduler = make(torch.optim.lr_scheduler, optimizer)
        for epochs in (1, 19, 30):  # several fits continue each other
            trainer.fit(X, y, epochs=epochs, batch_size=3, shuffle=False, verbose=0)
            for _ in range(epochs):
                for rows in (slice(0, 3), slice(3, 6)):
                    optimizer.zero_grad()
                    ((torch.tensor(X[rows]) @ weight - torch.tensor(y[rows])) ** 2).mean().backward()
                    optimizer.step()
                    if every == "step":
                        scheduler.step()
                if every == "epoch":
                    scheduler.step()
            have, want = net.layers[0].weight, weight.detach().numpy()
            np.testing.assert_allclose(have, want, rtol=0, atol=1e-12 * abs(want).max())
    assert trainer.step_count == 100
