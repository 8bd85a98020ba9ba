"""What one core can do at most, and how close training steps come to it.

``python -m bench.run.limits [OUT]`` compiles bench/lib/probes.c for every ISA level that runs here, prints a table and
writes JSON. ``python -m bench.run.limits --steps RATIOS [OUT]`` reads that JSON, adds its roofline in seconds to each
training step that bench.run.ratios has measured, and prints the roofline's share of the measured time.
"""

import argparse
import json
from pathlib import Path

from bench.lib import machine
from bench.lib.probes import probe
from bench.lib.records import short, write
from bench.lib.roofline import LIMITS, check_machine, step_roofline
from bench.lib.tables.common import digits, table
from bench.lib.tables.limits import limits_table, parts_of


def add_rooflines(ratios, results):
    """Add their rooflines to the steps in `ratios`, and return a table of shares."""
    from bench.lib.nets import NETS  # imports NumPy, which must follow `prepare`

    check_machine(ratios["machine"], results)
    isa, nets = ratios["machine"]["isa"], {net.title: net for net in NETS}
    rows = []
    for case in (case for case in ratios["cases"] if case["family"] == "step" and case["name"] in nets):
        net = nets[case["name"]]
        parts = step_roofline(net.program(net.native(case["dtype"])), net.batch, "adam", case["dtype"], isa, results)
        case["roofline"] = short(parts["total"])
        native = case["seconds"]["native"]
        share = f"{parts['total'] / native:.0%}"
        rows.append([case["name"], case["dtype"], *parts_of(parts), digits(1e6 * native), share])
    head = ["step", "dtype", "products, µs", "update: arithmetic", "traffic", "roofline", "native", "share"]
    return table(head, rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", nargs="?", type=Path, default=LIMITS, help="the JSON file")
    parser.add_argument("--fast", action="store_true", help="a few short repetitions, to see that it runs")
    parser.add_argument("--steps", type=Path, metavar="RATIOS", help="JSON of bench.run.ratios: add rooflines to it")
    arguments = parser.parse_args()
    machine.prepare()
    if arguments.steps:
        ratios = json.loads(arguments.steps.read_text())
        print(add_rooflines(ratios, json.loads(arguments.out.read_text())))
        write(arguments.steps, ratios, "cases")
    else:
        results = probe(arguments.fast)
        write(arguments.out, results, "limits")
        print(limits_table(results))
        print("\n" + ", ".join(f"{k} {v['bytes'] >> 10} kB ({v['source']})" for k, v in results["caches"].items()))


if __name__ == "__main__":
    main()
