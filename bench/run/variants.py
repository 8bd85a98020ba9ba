"""How many times as long a training step of the `mnist` net takes with something in addition as without.

``python -m bench.run.variants [OUT]`` measures each pair in turns, writes JSON with the quartiles of the ratios of
neighbouring samples, and prints a table. ``-k TEXT`` measures the variants whose name contains the text.
"""

import argparse
import functools
import gc
import math
from pathlib import Path

from bench.lib import machine
from bench.lib.records import write
from bench.lib.tables.common import added_time_table
from bench.lib.timing import measure

MEASURED = machine.ROOT / "build" / "variants.json"
STEPS = 16  # in a call
SECONDS = 20.0  # for a case
VARIED = "varied"  # among the implementations
SHAPE = (28, 28)


def variants():
    """Return what is measured by name: the dtype of X, a change of the net, the trainer's settings, augmentations."""
    from fastnn import data, optim

    def scale(net, X):
        net.scaler = data.Scaler.fit(X)

    def freeze(net, X):
        net.freeze("0.*")

    noise, shift = data.GaussianNoise(0.1), data.RandomShift(SHAPE, 2)
    return {
        "scaler": ("float32", scale, {}, ()),
        "scaler, uint8": ("uint8", scale, {}, ()),
        "noise": ("float32", None, {}, (noise,)),
        "shift": ("float32", None, {}, (shift,)),
        "noise and shift": ("float32", None, {}, (noise, shift)),
        "mixup": ("float32", None, {}, (data.Mixup(0.2),)),
        "first layer frozen": ("float32", freeze, {}, ()),
        "accumulate=4": ("float32", None, {"accumulate": 4}, ()),
        "EMA": ("float32", None, {"average": optim.EMA(0.999)}, ()),
    }


def prepared(config, X, change, settings, augment):
    """Return a trainer of a new net, and the executor of its steps."""
    import fastnn
    from fastnn import optim
    from fastnn.training._augment import as_augment

    net = config.native("float32")
    if change is not None:
        change(net, X)
    # A learning rate of zero keeps the weights: no units die.
    trainer = fastnn.Trainer(net, config.loss, optim.Adam(lr=0.0), **settings)
    return trainer, trainer.fit_executor("labels", config.batch, as_augment(net, augment).steps)


def steps_of(config, X, y, order, change, settings, augment):
    """Return a function that takes the next steps of a net as `Trainer.fit` takes them, and returns their result."""
    import numpy as np

    from bench.lib.nets import AHEAD
    from fastnn import engine

    trainer, executor = prepared(config, X, change, settings, augment)
    feed = engine.Feed(X, order, config.batch, y, scaling=trainer.net.input_scaling, accumulate=trainer.accumulate)
    scalars = np.tile(trainer.scalars(2)[1][1:], (STEPS, 1))  # not those of the first step, which begins an average
    taken = 0

    def run():
        nonlocal taken
        first = taken % (len(order) // config.batch - STEPS + 1)
        result = executor.run_steps(feed, first, first + STEPS, scalars, taken, math.inf, 1, ahead=AHEAD)
        taken += STEPS
        return result

    return run


def step_functions(config, name):
    """Return the steps of the net as it is and with a variant, on the same rows.

    The work does not depend on the numbers in X. Those from 0 to 3 do no harm to a net without a scaler either.
    """
    import numpy as np

    dtype, change, settings, augment = variants()[name]
    _, y, order = config.data("float32")
    X = np.random.default_rng(0).integers(0, 4, (len(y), config.sizes[0]), np.uint8).astype(dtype)
    plain = functools.partial(steps_of, config, X, y, order)
    return {"native": plain(None, {}, ()), VARIED: plain(change, settings, augment)}


def cases(text=""):
    """Return a case for each variant whose name contains the text."""
    from bench.lib.cases import Case  # imports NumPy, which must follow `prepare`
    from bench.lib.nets import NETS

    config = next(net for net in NETS if net.name == "mnist")
    make = functools.partial(step_functions, config)
    return [
        Case("variant", name, f"{config.batch} rows", dtype, lambda case: make(case.name), STEPS)
        for name, (dtype, *_) in variants().items()
        if text in name
    ]


def variants_table(records):
    """Return by how much the time of a step changes, with quartiles: a row for each variant."""
    head = ["a step of mnist with", "X", "without it, µs", "with it"]
    return added_time_table(head, records, VARIED, column="dtype", unit=1e6)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", nargs="?", type=Path, default=MEASURED, help="the JSON file")
    parser.add_argument("-k", dest="text", default="", help="measure the variants whose name contains this")
    parser.add_argument("--fast", action="store_true", help="few rounds, to see that it runs")
    arguments = parser.parse_args()
    machine.prepare()
    gc.disable()
    results = {"machine": machine.describe(), "cases": []}
    for case in cases(arguments.text):
        results["cases"].append(measure(case, 0 if arguments.fast else SECONDS))
        write(arguments.out, results, "cases")
        gc.collect()
    print(variants_table(results["cases"]))


if __name__ == "__main__":
    main()
