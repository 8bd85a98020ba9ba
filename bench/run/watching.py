"""How many times as long an epoch takes with a `Watch` as without.

``python -m bench.run.watching [OUT]`` measures epochs of the `tiny` and the `mnist` net in turns with and without a
`Watch` of the default rate, writes JSON with the quartiles of the ratios of neighbouring samples, and prints a table.
``--every K`` measures another rate, ``-k TEXT`` the nets whose name contains the text.
"""

import argparse
import functools
import gc
from pathlib import Path

from bench.lib import machine
from bench.lib.records import write
from bench.lib.tables.common import added_time_table
from bench.lib.timing import measure

MEASURED = machine.ROOT / "build" / "watching.json"
SECONDS = 30.0  # for a case
WATCHED = "watched"  # among the implementations
EPOCHS = {"tiny": 10, "mnist": 1}  # of a fit


def fit_functions(config, epochs, every):
    """Return fits of two nets with the same values, on the same rows: without a `Watch`, and with one."""
    import fastnn
    from fastnn import optim

    X, y, _ = config.data("float32")

    def fit(callbacks):
        # A learning rate of zero keeps the weights: no units die.
        trainer = fastnn.Trainer(config.native("float32"), config.loss, optim.Adam(lr=0.0))
        more = {"epochs": epochs, "batch_size": config.batch, "callbacks": callbacks, "verbose": 0}
        return functools.partial(trainer.fit, X, y, **more)

    return {"native": fit([]), WATCHED: fit([fastnn.Watch(every)])}


def cases(text="", every=None):
    """Return a case for each net whose name contains the text."""
    import fastnn
    from bench.lib.cases import Case  # imports NumPy, which must follow `prepare`
    from bench.lib.nets import NETS

    configs = [net for net in NETS if net.name in EPOCHS and text in net.name]
    every = fastnn.Watch(every).every
    return [
        Case(
            "watching",
            config.name,
            f"{config.rows} rows, every={every}",
            "float32",
            functools.partial(_functions_of, config, every),
            EPOCHS[config.name],
        )
        for config in configs
    ]


def _functions_of(config, every, case):
    return fit_functions(config, case.count, every)


def watching_table(records):
    """Return by how much the time of an epoch changes, with quartiles: a row for each net."""
    head = ["an epoch of", "of", "without it, ms", "with it"]
    return added_time_table(head, records, WATCHED, column="shape", unit=1e3)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", nargs="?", type=Path, default=MEASURED, help="the JSON file")
    parser.add_argument("-k", dest="text", default="", help="measure the nets whose name contains this")
    parser.add_argument("--every", type=int, help="the rate; by default that of Watch")
    parser.add_argument("--fast", action="store_true", help="few rounds, to see that it runs")
    arguments = parser.parse_args()
    machine.prepare()
    gc.disable()
    results = {"machine": machine.describe(), "cases": []}
    for case in cases(arguments.text, arguments.every):
        results["cases"].append(measure(case, 0 if arguments.fast else SECONDS))
        write(arguments.out, results, "cases")
        gc.collect()
    print(watching_table(results["cases"]))


if __name__ == "__main__":
    main()
