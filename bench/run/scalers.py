"""How many times as long a training step of the `mnist` net takes with a scaler in front as without.

``python -m bench.run.scalers [OUT]`` measures both in turns, with X in float32 and in uint8, writes JSON with the
quartiles of the ratios of neighbouring samples, and prints a table.
"""

import argparse
import functools
import gc
from pathlib import Path

from bench.lib import machine
from bench.lib.records import write
from bench.lib.tables.common import digits, table
from bench.lib.timing import measure

MEASURED = machine.ROOT / "build" / "scalers.json"
DTYPES = ("float32", "uint8")  # of X; the net's is float32
STEPS = 16  # in a call
SECONDS = 20.0  # for a case
SCALED = "with a scaler"  # among the implementations


def step_functions(config, dtype):
    """Return the steps of a net without and with a scaler, on the same rows.

    The work does not depend on the numbers in X. Those from 0 to 3 do no harm to a net without a scaler either.
    """
    import numpy as np

    from bench.lib.nets import engine_steps
    from fastnn.data import Scaler

    _, y, order = config.data("float32")
    X = np.random.default_rng(0).integers(0, 4, (len(y), config.sizes[0]), np.uint8).astype(dtype)
    functions = {}
    for name, scaler in (("native", None), (SCALED, Scaler.fit(X))):
        net = config.native("float32")
        net.scaler = scaler
        # A learning rate of zero keeps the weights: no units die.
        functions[name] = engine_steps(config, net, X, y, order, "native", STEPS, lr=0.0)
    return functions


def cases():
    """Return a case for each dtype of X."""
    from bench.lib.cases import Case  # imports NumPy, which must follow `prepare`
    from bench.lib.nets import NETS

    config = next(net for net in NETS if net.name == "mnist")
    make = functools.partial(step_functions, config)
    return [
        Case("scaler", config.title, f"{config.batch} rows", dtype, lambda case: make(case.dtype), STEPS)
        for dtype in DTYPES
    ]


def scalers_table(records):
    """Return by how much longer a step with a scaler takes, with quartiles: a row for each dtype."""
    rows = []
    for r in records:
        low, median, high = (f"{ratio - 1:+.1%}" for ratio in r["ratios"][SCALED])
        micros = digits(1e6 * r["seconds"]["native"])
        rows.append([r["name"], r["shape"], r["dtype"], micros, f"{median} ({low} to {high})"])
    return table(["training step", "", "X", "without a scaler, µs", "with one"], rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", nargs="?", type=Path, default=MEASURED, help="the JSON file")
    parser.add_argument("--fast", action="store_true", help="few rounds, to see that it runs")
    arguments = parser.parse_args()
    machine.prepare()
    gc.disable()
    results = {"machine": machine.describe(), "cases": []}
    for case in cases():
        results["cases"].append(measure(case, 0 if arguments.fast else SECONDS))
        write(arguments.out, results, "cases")
        gc.collect()
    print(scalers_table(results["cases"]))


if __name__ == "__main__":
    main()
