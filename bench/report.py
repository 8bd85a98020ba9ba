"""Tables from what ratios.py has measured.

``python bench/report.py`` prints every case. ``python bench/report.py --readme README.md`` also keeps the JSON in
bench/results and writes README's table from it, between the two marks.
"""

import argparse
import json
import shutil
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MEASURED = ROOT / "build" / "ratios.json"
KEPT = ROOT / "bench" / "results" / "speed.json"
BEGIN, END = "<!-- speed: begin -->", "<!-- speed: end -->"

WHOLE = {"step": "training step", "epoch": "`Trainer.fit`, a step", "predict": "`predict`"}


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
    by_id = {(c["family"], c["name"], c["dtype"]): c for c in cases}
    shares = any("roofline" in c for c in cases)  # limits.py has told them
    head += ["share of the step's roofline: float32 and float64"] * shares
    rows = []
    for (family, name, dtype), case in by_id.items():
        if family in WHOLE and dtype == "float32":
            ratios, wide = case["ratios"], by_id[family, name, "float64"]["ratios"]
            micros = digits(1e6 * case["seconds"]["native"])
            shown = [spread(ratios["numpy"]), spread(ratios["reference"]), spread(wide["numpy"])]
            if shares:
                both = [case, by_id[family, name, "float64"]]
                shown.append(" and ".join(share(c) for c in both if "roofline" in c))
            rows.append([WHOLE[family], name, case["shape"], micros, *shown])
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


def block(results):
    """Return the text between README's marks."""
    m = results["machine"]
    rounds = [case["rounds"] for case in results["cases"]]
    return f"""
Times as fast as plain NumPy, on one core: medians of {min(rounds)} to {max(rounds)} interleaved pairs (quartiles).

{whole_table(results["cases"])}

Kernels in float32 against NumPy expressions for the same: the least, the middle and the most sped up of each family.

{kernel_table(results["cases"])}

{m["processor"]}, ISA level {m["isa"]}, {m["threads"]} thread; fastnn {m["fastnn"]} ({m["commit"]}, {m["compiler"]}),
Python {m["python"]}, NumPy {m["numpy"]} with {m["blas"]}; {m["date"]}.
`make bench` measures, `python bench/report.py --readme README.md` writes this.
"""


def between_marks(text):
    """Return what stands before, between and after the marks."""
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise SystemExit(f"expected one {BEGIN} and one {END} after it")
    before, _, rest = text.partition(BEGIN)
    middle, _, after = rest.partition(END)
    return before, middle, after


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("json", nargs="?", type=Path, default=MEASURED)
    parser.add_argument("--readme", type=Path, help="the file whose table is to be written")
    arguments = parser.parse_args()
    results = json.loads(arguments.json.read_text())
    print(every_case(results))
    if arguments.readme:
        before, _, after = between_marks(arguments.readme.read_text())
        if arguments.json.resolve() != KEPT:
            KEPT.parent.mkdir(exist_ok=True)
            shutil.copyfile(arguments.json, KEPT)
        arguments.readme.write_text(f"{before}{BEGIN}{block(results)}{END}{after}")


if __name__ == "__main__":
    main()
