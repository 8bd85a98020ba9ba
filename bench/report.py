"""Tables from what ratios.py and peers.py have measured: ``python bench/report.py`` prints every case of the former."""

import argparse
import json
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MEASURED = ROOT / "build" / "ratios.json"

WHOLE = {"step": "training step", "epoch": "`Trainer.fit`, a step", "loop": "own loop, a step", "predict": "`predict`"}
PEERS = {"numpy": "NumPy by hand", "JAX": "JAX jit + scan"}  # where a title says more than the name
EVEN = 0.97  # a ratio from here on is no slower
UNITS = {"step": ("µs", 1e6), "epoch": ("ms", 1e3), "kernel": ("µs", 1e6)}


def digits(value):
    """Return two digits, or more before the point."""
    return f"{value:.0f}" if value >= 9.95 else f"{value:.2g}"


def spread(quartiles):
    """Return a ratio with its quartiles."""
    first, median, third = map(digits, quartiles)
    return f"{median} ({first} to {third})"


def share(case):
    """Return how much of its time a step's products and update need at least."""
    return f"{case['roofline'] / case['seconds']['native']:.0%}"


def table(head, rows):
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


def every_case(results):
    """Return a table of all that was measured."""
    head = ["family", "kernel or net", "shape", "dtype", "native, µs", "NumPy by hand / native", "reference / native"]
    rows = [
        [
            *(case[key] for key in ("family", "name", "shape", "dtype")),
            digits(1e6 * case["seconds"]["native"]),
            spread(case["ratios"]["numpy"]),
            spread(case["ratios"]["reference"]),
        ]
        for case in results["cases"]
    ]
    return table(head, rows)


def whole_table(cases):
    """Return steps, epochs and predictions, float32 and float64 side by side."""
    head = [
        "",
        "net",
        "",
        "native, µs",
        "float32: faster than NumPy by hand",
        "than the reference",
        "float64: than NumPy",
    ]
    by_id = {(c["family"], c["name"], c["shape"], c["dtype"]): c for c in cases}
    shares = any("roofline" in c for c in cases)  # limits.py has told them
    head += ["share of the step's roofline: float32 and float64"] * shares
    rows = []
    for (family, name, shape, dtype), case in by_id.items():
        if family in WHOLE and dtype == "float32":
            both = [case, by_id[family, name, shape, "float64"]]
            ratios, wide = (c["ratios"] for c in both)
            micros = digits(1e6 * case["seconds"]["native"])
            shown = [spread(ratios["numpy"]), spread(ratios["reference"]), spread(wide["numpy"])]
            if shares:
                shown.append(" and ".join(share(c) for c in both if "roofline" in c))
            rows.append([WHOLE[family], name, shape, micros, *shown])
    return table(head, rows)


def kernel_table(cases):
    """Return the least, the middle and the most sped-up kernel of each family and shape, in float32."""

    def name_of(case):
        return f"{case['name']} {spread(case['ratios']['numpy'])}"

    rows = []
    kernels = [c for c in cases if c["family"] not in WHOLE and c["dtype"] == "float32"]
    kernels.sort(key=lambda c: (c["family"], c["shape"]))
    for (family, shape), group in groupby(kernels, lambda c: (c["family"], c["shape"])):
        ranked = sorted(group, key=lambda c: c["ratios"]["numpy"][1])
        chosen = [name_of(ranked[i]) for i in (0, (len(ranked) - 1) // 2, -1)]
        rows.append([family, shape, *(chosen if len(ranked) > 2 else [chosen[0], "", chosen[2] * (len(ranked) > 1)])])
    return table(["family", "shape", "least", "middle", "most"], rows)


def conditions(m):
    """Return a sentence on where a measurement was made."""
    return (
        f"{m['processor']}, ISA level {m['isa']}, {m['threads']} thread; fastnn {m['fastnn']} ({m['commit']}, "
        f"{m['compiler']}),\nPython {m['python']}, NumPy {m['numpy']} with {m['blas']}; {m['date']}."
    )


def rounds_of(cases):
    rounds = [case["rounds"] for case in cases]
    return f"medians of {min(rounds)} to {max(rounds)} interleaved pairs (quartiles)"


def speed_text(results):
    """Return what ratios.py has measured, in short."""
    return f"""\
Times as fast as plain NumPy, on one core: {rounds_of(results["cases"])}.

{whole_table(results["cases"])}

Kernels in float32 against NumPy expressions for the same: the least, the middle and the most sped up of each family.

{kernel_table(results["cases"])}

{conditions(results["machine"])}
`make bench` measures, `make docs-figures` writes this."""


# ---- the scikit-learn door ----

DOOR = {
    "fit": ("fit, an epoch", "µs", 1e6),
    "partial_fit": ("`partial_fit`", "µs", 1e6),
    "predict": ("`predict_proba`", "µs", 1e6),
    "search": ("`GridSearchCV`", "s", 1),
}


def door_text(results):
    """Return what sklearn_door.py has measured."""
    head = ["", "net", "", "dtype", "fastnn", "times as fast as scikit-learn"]
    rows = []
    for case in results["cases"]:
        what, unit, factor = DOOR[case["family"]]
        seconds = f"{digits(factor * case['seconds']['native'])} {unit}"
        rows.append([what, *(case[key] for key in ("name", "shape", "dtype")), seconds])
        rows[-1].append(spread(case["ratios"]["scikit-learn"]))
    return f"""\
{table(head, rows)}

Every estimator has the same parameters on both sides; {rounds_of(results["cases"])}, one thread each.
scikit-learn {results["machine"]["libraries"]["scikit-learn"]}. {conditions(results["machine"])}
`make bench-sklearn` measures, `make docs-figures` writes this."""


# ---- other libraries ----


def peers_table(levels, family, first):
    """Return how many times as long each peer takes, with the quartiles: a row for each case and ISA level."""
    found = [(m["isa"], case) for m, cases in levels for case in cases if case["family"] == family]
    peers = list(dict.fromkeys(peer for _, case in found for peer in case["ratios"]))
    unit, factor = UNITS[family]
    order = list(dict.fromkeys((case["name"], case["shape"]) for _, case in found))
    rows = []
    for isa, case in sorted(found, key=lambda pair: order.index((pair[1]["name"], pair[1]["shape"]))):
        shown = [spread(case["ratios"][peer]) if peer in case["ratios"] else "-" for peer in peers]
        rows.append([case["name"], case["shape"], isa, digits(factor * case["seconds"]["native"]), *shown])
    return table([first, "", "level", f"fastnn, {unit}", *(PEERS.get(peer, peer) for peer in peers)], rows)


def slower_text(levels):
    """Return which kernels take longer than PyTorch's, told by the lower quartile of the ratio."""
    slower = [
        f"{case['name']} at {case['shape']} and {m['isa']} ({case['ratios']['PyTorch'][0]:.2f})"
        for m, cases in levels
        for case in cases
        if case["family"] == "kernel" and case["ratios"].get("PyTorch", [1])[0] < EVEN
    ]
    return f"Lower quartile of PyTorch's ratio below {EVEN}: {', '.join(slower) or 'none'}."


def missing_text(results):
    """Return a sentence for each reason why libraries do not take part: for which nets, at which of these levels."""
    found = {}
    for r in results:
        for name, reason in r["missing"].items():
            library, _, net = name.partition(", ")
            found.setdefault((library, reason), {}).setdefault(r["machine"]["isa"], []).append(net)
    sentences = []
    for (library, reason), nets in sorted(found.items()):
        where = "" if len(nets) == len(results) else f" at {' and '.join(nets)}"
        names = ", ".join(dict.fromkeys(net for own in nets.values() for net in own if net))
        sentences.append(f"No {library}{where}{f' for {names}' if names else ''}: {reason}.")
    return sentences


def peers_text(results, families=("step", "epoch", "kernel")):
    """Return the tables of these families of what peers.py has measured, at one ISA level or more."""
    levels = [(r["machine"], r["cases"]) for r in results]
    cases = [case for _, own in levels for case in own if case["family"] in families]
    if not cases:
        return ""
    parts = [f"Times as long as fastnn takes, float32, one thread on one core: {rounds_of(cases)}."]
    for family, first in (("step", "training step"), ("epoch", "whole epoch"), ("kernel", "kernel")):
        if family in families and any(case["family"] == family for case in cases):
            parts.append(peers_table(levels, family, first))
    if "kernel" in families:
        parts.append(slower_text(levels))
    missing = missing_text(results)
    m = levels[0][0]
    libraries = ", ".join(f"{name} {version}" for name, version in m["libraries"].items())
    others = "".join(f"; {o['isa']} at {o['commit']}" for o, _ in levels[1:] if o["commit"] != m["commit"])
    return "\n\n".join([*parts, *missing, f"{conditions(m)[:-1]}; {libraries}{others}."])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("json", nargs="?", type=Path, default=MEASURED)
    print(every_case(json.loads(parser.parse_args().json.read_text())))


if __name__ == "__main__":
    main()
