"""Tables of what `python -m bench.run.ratios` has measured."""

from itertools import groupby

from bench.lib.tables.common import conditions, digits, rounds_of, spread, table

WHOLE = {
    "step": "training step",
    "epoch": "`Trainer.fit`, a step",
    "loop": "own loop, a step",
    "batch": "`train_on_batch`",
    "predict": "`predict`",
    "predictor": "`predictor`",
}


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


def share(case):
    """Return a step's roofline as a share of its time."""
    return f"{case['roofline'] / case['seconds']['native']:.0%}"


def whole_table(cases):
    """Return a table of steps, epochs, loops and predictions, float32 and float64 side by side."""
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
    shares = any("roofline" in c for c in cases)  # added by `python -m bench.run.limits --steps`
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
    """Return a table of the least, the middle and the most sped-up kernel of each family and shape, in float32."""

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


def speed_text(results):
    """Return README's section on speed."""
    return f"""\
How many times as fast as plain NumPy fastnn is, on one core: {rounds_of(results["cases"])}.

{whole_table(results["cases"])}

Kernels in float32 against NumPy expressions for the same: the least, the middle and the most sped up of each family.

{kernel_table(results["cases"])}

{conditions(results["machine"])}
`make bench` measures, `make docs-figures` writes this."""
