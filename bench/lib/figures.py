"""The pictures of docs/why-it-is-fast.md, drawn by matplotlib from the measurements in bench/results.

Each SVG contains a hash of the measurements that it shows, so that a test can check that it is up to date.
"""

import hashlib
import json

from bench.lib.machine import ROOT
from bench.lib.records import RESULTS
from bench.lib.sweep_points import cost, series_of

FOLDER = ROOT / "docs" / "figures"
COLORS = {"float32": "#1f5fa8", "float64": "#c2571a"}
MARKERS = {"tiny": "v", "mnist": "o", "tab": "s", "wide": "D", "residual": "P"}
GRAY = "#666666"
# Level -> where the label stands along the level's line, and how far from it.
LABELS = {"L1": (0.6, 4), "L2": (0.4, 4), "L3": (0.2, -4), "memory": (0.1, -4)}
TICKS = {"width": (8, 64, 512, 4096), "batch": (1, 16, 256, 4096), "depth": (1, 2, 4, 8, 16, 32)}


def hash_of(names):
    """Return a hash of these measurements."""
    return hashlib.sha256(b"".join((RESULTS / f"{name}.json").read_bytes() for name in names)).hexdigest()[:16]


def sweep(plt, points):
    """Draw a step's time over its roofline by width, batch and depth."""
    figure, panels = plt.subplots(1, 3, figsize=(9, 3), sharey=True, layout="constrained")
    fixed = {"width": "2 hidden layers, 128 rows", "batch": "2 hidden layers, 256 wide", "depth": "256 wide, 128 rows"}
    for panel, (name, rest) in zip(panels, fixed.items(), strict=True):
        for dtype, color in COLORS.items():
            series = series_of(points["points"], name, dtype)
            at, costs = [r["at"] for r in series], [cost(r) for r in series]
            panel.plot(at, costs, "o-", ms=2.5, lw=1, color=color, label=dtype)
        panel.axhline(1, color=GRAY, lw=0.8, ls="--")
        panel.set_xscale("log", base=2)
        panel.set_yscale("log")
        panel.set_xticks(TICKS[name], [str(n) for n in TICKS[name]])
        panel.set_yticks([1, 2, 4, 8, 16], ["1", "2", "4", "8", "16"])
        panel.minorticks_off()
        panel.set_xlabel({"width": "width", "batch": "rows of a batch", "depth": "hidden layers"}[name])
        panel.set_title(rest, fontsize=9, color=GRAY)
        panel.grid(alpha=0.3, lw=0.5)
    panels[0].set_ylabel("time of a step / its roofline")
    panels[0].legend(frameon=False, fontsize=9)
    return figure


def roofline(plt, limits, ops):
    """Draw the nets' products under the limits of the machine: flops in a second by flops for each byte."""
    isa = ops["machine"]["isa"]
    figure, panels = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
    for panel, (dtype, color) in zip(panels, COLORS.items(), strict=True):
        best = {r["name"]: r["best"] for r in limits["limits"] if (r["isa"], r["dtype"]) == (isa, dtype)}
        peak = best["multiply_add"]
        for level, (at, offset) in LABELS.items():
            bandwidth = best[f"load {level}"]
            panel.plot([0.1, peak / bandwidth], [0.1 * bandwidth, peak], color=GRAY, lw=0.8)
            panel.annotate(
                level,
                (at * peak / bandwidth, at * peak),
                (-offset, offset),
                textcoords="offset points",
                fontsize=8,
                color=GRAY,
                ha="right" if offset > 0 else "left",
                va="center",
            )
        panel.plot([peak / best["load L1"], 1000], [peak, peak], color=GRAY, lw=0.8)
        panel.text(900, 1.08 * peak, f"{peak:.0f} GFLOP/s", fontsize=8, color=GRAY, ha="right")
        for net in (net for net in ops["nets"] if net["dtype"] == dtype):
            products = [op for op in net["ops"] if "flops" in op and op["seconds"] > 0]
            name = net["name"].split()[0]
            panel.scatter(
                [op["flops"] / op["bytes"] for op in products],
                [1e-9 * op["flops"] / op["seconds"] for op in products],
                s=[10 + 250 * op["seconds"] / net["seconds"] for op in products],
                marker=MARKERS.get(name, "o"),
                color=color,
                alpha=0.55,
                lw=0,
                label=name,
            )
        panel.set_xscale("log")
        panel.set_yscale("log")
        panel.minorticks_off()
        panel.set_xlim(0.1, 1000)
        panel.set_xlabel(f"flops for each byte of operands, {dtype}")
        panel.grid(alpha=0.3, lw=0.5)
        handles = [
            plt.Line2D([], [], marker=marker, color=color, ls="", ms=5, alpha=0.7, label=name)
            for name, marker in MARKERS.items()
        ]
        panel.legend(handles=handles, frameon=False, fontsize=9, loc="lower right")
    panels[0].set_ylim(1, 400)
    panels[0].set_ylabel("GFLOP/s")
    return figure


# Picture -> the measurements that it shows, and the function that draws it.
FIGURES = {"sweep": (("sweep",), sweep), "roofline": (("limits", "ops"), roofline)}


def draw():
    """Write the pictures whose measurements exist."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    # Text stays text, and nothing in the file is random or depends on the time.
    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "fastnn", "font.family": "sans-serif"})
    FOLDER.mkdir(exist_ok=True)
    for name, (needed, function) in FIGURES.items():
        if all((RESULTS / f"{each}.json").exists() for each in needed):
            figure = function(plt, *(json.loads((RESULTS / f"{each}.json").read_text()) for each in needed))
            metadata = {"Date": None, "Creator": None, "Description": hash_of(needed)}
            figure.savefig(FOLDER / f"{name}.svg", metadata=metadata, facecolor="white")
            plt.close(figure)
            print(f"drew docs/figures/{name}.svg")
