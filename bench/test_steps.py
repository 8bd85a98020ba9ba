"""Whole steps, epochs, hand-written loops and one-row predictions of some nets: native, reference, NumPy by hand."""

import numpy as np
import pytest
from cases import EPOCHS, LOOPS, NETS, PLAIN, PREDICTIONS, SIDES, STEPS, engine_steps, numpy_steps, predict_sides

from fastnn import kernels


def every(cases):
    return pytest.mark.parametrize(
        ("case", "side"), [pytest.param(c, s, id=f"{c.id}-{s}") for c in cases for s in SIDES]
    )


@every(STEPS)
@pytest.mark.benchmark(max_time=1, min_rounds=5, disable_gc=True)
def test_step(case, side, measure):
    measure(case, side)


@every(EPOCHS)
@pytest.mark.benchmark(max_time=1, min_rounds=3, disable_gc=True)
def test_epoch(case, side, measure):
    measure(case, side)


@every(LOOPS)
@pytest.mark.benchmark(max_time=0.5, min_rounds=3, disable_gc=True)
def test_loop(case, side, measure):
    measure(case, side)


@every(PREDICTIONS)
@pytest.mark.benchmark(max_time=0.3, disable_gc=True)
def test_predict(case, side, measure):
    measure(case, side)


def masks(config, net, program):
    """Return functions that draw the masks of the net's dropouts, step after step."""

    def draw(stream):
        step = 0

        def mask(shape):
            nonlocal step
            step += 1
            return kernels.dropout(np.ones(shape), config.p, seed=net.seed, stream=stream, step=step - 1) > 0

        return mask

    ops = program.sections["forward"]
    return [draw(op.attrs["stream"]) for op in ops if op.attrs.get("p", 0) > 0]


@pytest.mark.parametrize("side", ["native", "reference"])
@pytest.mark.parametrize("config", NETS, ids=lambda config: config.name)
def test_losses_agree_with_numpy(config, side):
    """The hand-written net takes the same steps."""
    net = config.native("float64")
    X, y, order = config.data("float64", 4 * config.batch)
    program = net.training_program(loss="cross_entropy", target="labels", optimizer="adam")
    hand = config.by_hand(net, masks(config, net, program))
    ours = engine_steps(config, net, X, y, order, side, 1)
    theirs = numpy_steps(config, hand, X, y, order, 1)
    for _ in range(10):
        assert ours().last_loss == pytest.approx(theirs(), rel=1e-9)


@pytest.mark.parametrize("config", PLAIN, ids=lambda config: config.name)
def test_predictions_agree_with_numpy(config):
    sides = predict_sides(config, "float64")
    expected = sides["numpy"]()
    for side in ("native", "reference"):
        np.testing.assert_allclose(sides[side](), expected, rtol=1e-12, atol=1e-12)
