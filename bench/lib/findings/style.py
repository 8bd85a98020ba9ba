"""What all pictures of findings have in common: size, lines that differ without colour, legends beside the data."""

import io

SIZE = (6.4, 2.3)  # inches
FAULT = {"color": "#a8322d", "ls": "-", "lw": 1.6, "marker": "o"}
MENDED = {"color": "#2f6da8", "ls": "--", "lw": 1.6, "marker": "s"}
OTHER = {"color": "#5a5a5a", "ls": ":", "lw": 1.8, "marker": "^"}
LINE = {"color": "#8a8a8a", "lw": 0.9, "ls": (0, (6, 3)), "zorder": 0}
SETTINGS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "fastnn",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "lines.markersize": 4,
    "path.simplify_threshold": 0.5,
}


def pyplot():
    """Return matplotlib.pyplot with the settings of these pictures."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update(mpl.rcParamsDefault | {"backend": "Agg"} | SETTINGS)
    return plt


def panels(number=1, *, sharex=False, sharey=False, **settings):
    """Return a figure and its panels, side by side; settings such as `ylim` are those of each panel."""
    figure, axes = pyplot().subplots(
        1, number, figsize=SIZE, layout="constrained", squeeze=False, sharex=sharex, sharey=sharey, subplot_kw=settings
    )
    for axis in axes[0]:
        axis.grid(alpha=0.25, lw=0.5)
    return figure, *axes[0]


def curves(axis, lines, marks=8, first=1):
    """Draw lines of values by epoch or step: label -> (style, values)."""
    for label, (style, values) in lines.items():
        every = max(1, len(values) // marks)
        axis.plot(range(first, first + len(values)), values, markevery=every, label=label, **style)
    axis.xaxis.get_major_locator().set_params(integer=True)


def legend(figure, axis, columns=3):
    """Put the labels above the panels, where no data are."""
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=columns, handlelength=3.2)


def svg(figure):
    """Return the text of the picture; equal data give equal text."""
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None}, facecolor="white")
    pyplot().close(figure)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"
