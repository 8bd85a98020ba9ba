"""How many times as long other libraries take for the same training steps and kernels: all in turns, on one core.

``python bench/peers.py [-k TEXT] [--fast] [OUT]`` checks that a peer's losses are fastnn's, measures, and writes JSON:
for every case the seconds of each side and the quartiles of ratios of neighbouring samples. ``--table`` prints what has
been measured. A peer that is not installed is named, and the rest run.
"""

import argparse
import gc
import importlib.metadata
import json
import os
import sys
from pathlib import Path

import machine
from ratios import measure
from report import digits, spread, table

MEASURED = machine.ROOT / "build" / "peers.json"
BUDGET = {"step": 30.0, "kernel": 1.0}  # seconds a case; at least ratios.ROUNDS[0] rounds are taken
LIBRARIES = ("scikit-learn", "torch", "jax", "jaxlib")
TITLES = {"numpy": "NumPy by hand", "JAX": "JAX jit + scan", "PyTorch": "PyTorch"}


def prepare():
    """Keep JAX to one thread too, which it reads when it is imported."""
    machine.prepare()
    os.environ.update(XLA_FLAGS="--xla_cpu_multi_thread_eigen=false", JAX_PLATFORMS="cpu")


def versions():
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def family_table(cases, first):
    """Return how many times as long each peer takes, with the quartiles."""
    peers = list(dict.fromkeys(peer for case in cases for peer in case["ratios"]))
    rows = []
    for case in cases:
        shown = [spread(case["ratios"][peer]) if peer in case["ratios"] else "-" for peer in peers]
        rows.append([case["name"], case["shape"], digits(1e6 * case["seconds"]["native"]), *shown])
    return table([first, "", "fastnn, µs", *(TITLES.get(peer, peer) for peer in peers)], rows)


def tables(results):
    """Return the text with a table of training steps and one of kernels."""
    m = results["machine"]
    rounds = [case["rounds"] for case in results["cases"]]
    pairs = f"medians of {min(rounds)} to {max(rounds)} interleaved pairs (quartiles)"
    parts = [f"Times as long as fastnn takes, float32, one thread on one core: {pairs}."]
    for family, first in (("step", "training step"), ("kernel", "kernel")):
        cases = [case for case in results["cases"] if case["family"] == family]
        parts += [family_table(cases, first)] if cases else []
    parts += [f"No {name}: {reason}." for name, reason in results["missing"].items()]
    libraries = ", ".join(f"{name} {version}" for name, version in m["libraries"].items())
    parts.append(
        f"{m['processor']}, ISA level {m['isa']}; fastnn {m['fastnn']} ({m['commit']}), Python {m['python']},\n"
        f"NumPy {m['numpy']} with {m['blas']}, {libraries}; {m['date']}."
    )
    return "\n\n".join(parts)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", nargs="?", type=Path, default=MEASURED, help="the JSON file")
    parser.add_argument("-k", default="", help="only the cases whose id has this text")
    parser.add_argument("--fast", action="store_true", help="the small cases, few rounds, nothing that compiles long")
    parser.add_argument("--table", action="store_true", help="print the tables of what has been measured, and no more")
    arguments = parser.parse_args()
    if arguments.table:
        print(tables(json.loads(arguments.out.read_text())))
        return
    prepare()
    sys.path.append(str(machine.ROOT / "tests"))  # pytest's setting is not read here
    from peer_cases import cases  # it imports NumPy

    gc.disable()
    missing, differences, records = {}, {}, []
    for case in cases(arguments.fast, missing, differences):
        if arguments.k in case.id:
            records.append(measure(case, 0 if arguments.fast else BUDGET[case.family]))
            print(case.id, {peer: q[1] for peer, q in records[-1]["ratios"].items()}, flush=True)
            gc.collect()
    results = {
        "machine": {**machine.describe(), "libraries": versions()},
        "missing": missing,
        "losses differ by": differences,
        "cases": records,
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(results, ensure_ascii=False, indent=1) + "\n")
    for name, reason in missing.items():
        print(f"No {name}: {reason}.")


if __name__ == "__main__":
    main()
