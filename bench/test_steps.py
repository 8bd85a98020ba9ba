"""Benchmarks of steps, epochs, hand-written loops, calls of one batch and predictions of 1 and 32 rows.

Each is measured native, by the reference and by NumPy as one writes it by hand.
"""

import numpy as np
import pytest

from bench.lib.cases import CALLS, EPOCHS, IMPLEMENTATIONS, LOOPS, STEPS
from bench.lib.nets import NETS, engine_steps
from bench.peers import numpy_by_hand
from fastnn import kernels


def every(cases):
    return pytest.mark.parametrize(
        ("case", "side"),
        [pytest.param(case, name, id=f"{case.id}-{name}") for case in cases for name in IMPLEMENTATIONS],
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


@every(CALLS)
@pytest.mark.benchmark(max_time=0.3, disable_gc=True)
def test_call(case, side, measure):
    measure(case, side)


def masks(config, net, program):
    """Return functions that draw the same masks as the net's dropouts, step after step."""

    def draw(stream):
        step = 0

        def mask(shape):
            nonlocal step
            step += 1
            return kernels.dropout(np.ones(shape), config.p, seed=net.seed, stream=stream, step=step - 1) > 0

        return mask

    ops = program.sections["forward"]
    return [draw(op.attrs["stream"]) for op in ops if op.attrs.get("p", 0) > 0]


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize("config", NETS, ids=lambda config: config.name)
def test_losses_agree_with_numpy(config, backend):
    """The hand-written net takes the same steps as fastnn's."""
    net = config.native("float64")
    X, y, order = config.data("float64", 4 * config.batch)
    program = net.training_program(loss="cross_entropy", target="labels", optimizer="adam")
    copy = numpy_by_hand.copy_of(net, masks(config, net, program))
    ours = engine_steps(config, net, X, y, order, backend, 1)
    theirs = numpy_by_hand.steps_of(config, copy, X, y, order, 1)
    for _ in range(10):
        assert ours().last_loss == pytest.approx(theirs(), rel=1e-9)


@pytest.mark.parametrize("case", [case for case in CALLS if case.dtype == "float64"], ids=lambda case: case.id)
def test_calls_agree_with_numpy(case):
    functions = case.make(case)
    expected = functions["numpy"]()
    for backend in ("native", "reference"):
        np.testing.assert_allclose(functions[backend](), expected, rtol=1e-12, atol=1e-12)
