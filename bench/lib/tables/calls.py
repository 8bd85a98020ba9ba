"""Tables of what `python -m bench.run.calls` has measured: now, and where it was kept, before."""

from bench.lib.tables.common import conditions, digits, rounds_of, spread, table
from bench.lib.tables.peers import missing_text

FAMILIES = {"predictor": "predictor", "predict": "`net.predict`"}
ARITHMETIC = "arithmetic"
TITLES = {"numpy": "NumPy by hand", "own loop": "a hand-written loop", "train_on_batch": "`Trainer.train_on_batch`"}
IMPLEMENTATIONS = {"predictor": "fastnn, a predictor", "predict": "fastnn, `net.predict`", **TITLES}
PREDICTIONS, STEPS, BATCHES, TAILS, KERNELS = "predictions", "steps", "batches", "tails", "kernels"
COPIES = ("identity", "identity_backward")  # a copy is as fast as memory, whoever makes it
FLOOR = 0.9  # of NumPy's time over a small kernel's


def of_family(results, *families):
    return [case for case in results["cases"] if case["family"] in families]


def predictions_table(results):
    """Return what a prediction costs beyond its arithmetic, and how many times as long the peers take."""
    cases = sorted(of_family(results, *FAMILIES), key=lambda case: list(FAMILIES).index(case["family"]))
    peers = list(dict.fromkeys(peer for case in cases for peer in case["ratios"] if peer != ARITHMETIC))
    rows = []
    for case in cases:
        seconds = case["seconds"]
        micros = [digits(1e6 * each) for each in (seconds["native"], seconds[ARITHMETIC])]
        shown = [spread(case["ratios"][peer]) if peer in case["ratios"] else "-" for peer in peers]
        rows.append([FAMILIES[case["family"]], case["name"], case["shape"], *micros, *shown])
    head = ["", "net", "", "fastnn, µs", "the arithmetic alone, µs", *(TITLES.get(peer, peer) for peer in peers)]
    return table(head, rows)


def steps_table(results):
    """Return how many times as long as a native step the same step takes when Python calls it."""
    rows = []
    for case in of_family(results, "step"):
        rows.append([case["name"], "a native step of a fit", digits(1e6 * case["seconds"]["native"]), "1"])
        for name, ratio in case["ratios"].items():
            rows.append([case["name"], TITLES.get(name, name), digits(1e6 * case["seconds"][name]), spread(ratio)])
    return table(["net", "", "a step, µs", "times the native step"], rows)


def batches_table(results, before=None):
    """Return how long `train_on_batch` takes for each kind of batch, and how long it took before."""
    rows = []
    for case in of_family(results, "batch"):
        old = next((each for each in of_family(before or {"cases": []}, "batch") if each["name"] == case["name"]), None)
        for name, seconds in case["seconds"].items():
            kind = "classes alone" if name == "native" else name
            rows.append([case["name"], kind, digits(1e6 * seconds), _times_native(case, name)])
            rows[-1] += [_times_native(old, name)] * bool(before)
    return table(["net", "batch", "a step, µs", "times that of classes alone", *["before"] * bool(before)], rows)


def _times_native(case, name):
    if case is None or name not in case["seconds"]:
        return "-"
    return "1" if name == "native" else spread(case["ratios"][name])


def partial_fit_table(results):
    """Return how many times as long scikit-learn's `partial_fit` takes."""
    rows = []
    for case in of_family(results, "partial_fit"):
        rows.append([case["name"], case["shape"], case["dtype"], digits(1e6 * case["seconds"]["native"])])
        rows[-1].append(spread(case["ratios"]["scikit-learn"]))
    return table(["`MLPClassifier.partial_fit`", "", "dtype", "fastnn, µs", "scikit-learn"], rows) if rows else ""


def tails_table(results):
    """Return the median and the slowest calls of one row, in microseconds."""
    rows = [
        [record["name"], IMPLEMENTATIONS.get(name, name), *(digits(1e6 * value) for value in own.values())]
        for record in results["tails"]
        for name, own in record["seconds"].items()
    ]
    names = list(next(iter(results["tails"][0]["seconds"].values())))
    return table(["net", "", *(f"{name}, µs" for name in names)], rows)


def kernels_table(results, before=None):
    """Return NumPy's time over that of each kernel, and what it was before."""
    old = {case["name"]: case for case in of_family(before or {"cases": []}, "kernel")}
    rows = []
    for case in of_family(results, "kernel"):
        name = f"{case['name']} (a pure copy)" if case["name"] in COPIES else case["name"]
        rows.append([name, case["shape"], digits(1e6 * case["seconds"]["native"]), spread(case["ratios"]["numpy"])])
        if before:
            rows[-1].append(spread(old[case["name"]]["ratios"]["numpy"]) if case["name"] in old else "-")
    return table(["kernel", "", "fastnn, µs", "NumPy's time over it", *["before"] * bool(before)], rows)


def slower_text(results):
    """Return which kernels take longer than NumPy's expression, by the median ratio."""
    found = [
        f"{case['name']} ({case['ratios']['numpy'][1]:.2f})"
        for case in of_family(results, "kernel")
        if case["ratios"]["numpy"][1] < FLOOR and case["name"] not in COPIES
    ]
    return f"Median ratio below {FLOOR}, pure copies excepted: {', '.join(found) or 'none'}."


def forms_text(results):
    """Return which of several forms of a library was measured, as the fastest for a net."""
    found = {}
    for name, form in results["chosen"].items():
        found.setdefault(name.rpartition(", ")[0].rpartition(", ")[0], []).append(form)
    return [f"{name}: by {' or '.join(sorted(set(forms)))}." for name, forms in found.items()]


def measured_text(results, families):
    """Return how the ratios were measured, and where."""
    m = results["machine"]
    libraries = ", ".join(f"{name} {version}" for name, version in m["libraries"].items())
    cases = of_family(results, *families)
    how = f"{rounds_of(cases)[0].upper()}{rounds_of(cases)[1:]}. " if cases else ""
    return f"{how}{conditions(m)[:-1]}; {libraries}."


def part_text(what, results, before=None):
    """Return the tables of one part of the page: of these results and, where they are kept, of those before."""
    if what == KERNELS:
        return "\n\n".join([kernels_table(results, before), slower_text(results), measured_text(results, ["kernel"])])
    if what == BATCHES:
        return "\n\n".join([batches_table(results, before), measured_text(results, ["batch"])])
    if before is None:
        return "\n\n".join(_tables(what, results))
    return "\n\n".join(["**Now**", *_tables(what, results), "**Before**", *_tables(what, before)])


def _tables(what, results):
    if what == PREDICTIONS:
        notes = [*forms_text(results), *missing_text([results])]
        return [predictions_table(results), *notes, measured_text(results, FAMILIES)]
    if what == STEPS:
        parts = [steps_table(results), partial_fit_table(results)]
        return [*filter(None, parts), measured_text(results, ["step", "partial_fit"])]
    calls = ", ".join(sorted({f"{record['calls']} calls" for record in results["tails"]}))
    return [tails_table(results), f"Each: {calls}, in alternating blocks.", measured_text(results, [])]


def calls_text(results, before=None):
    """Return all that was measured."""
    found = {what for what, families in FAMILIES_OF.items() if of_family(results, *families)}
    found |= {TAILS} if results["tails"] else set()
    return "\n\n".join(
        part_text(what, results, before) for what in (PREDICTIONS, STEPS, BATCHES, TAILS, KERNELS) if what in found
    )


FAMILIES_OF = {PREDICTIONS: tuple(FAMILIES), STEPS: ("step", "partial_fit"), BATCHES: ("batch",), KERNELS: ("kernel",)}
