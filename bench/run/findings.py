"""Draws the pictures of docs/findings.md from small trainings, which it runs. This needs matplotlib.

``python -m bench.run.findings`` draws all of them, ``python -m bench.run.findings linear`` those of these kinds.
"""

import argparse

from bench.lib.findings import PICTURES
from bench.lib.findings.style import svg
from bench.lib.machine import ROOT

FOLDER = ROOT / "docs" / "figures" / "findings"


def draw(kinds):
    """Write the pictures of these kinds."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for kind in kinds:
        (FOLDER / f"{kind}.svg").write_text(svg(PICTURES[kind]()), encoding="utf-8")
        print(f"drew docs/figures/findings/{kind}.svg")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"one of {', '.join(PICTURES)}; by default all")
    kinds = parser.parse_args().kinds or list(PICTURES)
    if unknown := set(kinds) - set(PICTURES):
        parser.error(f"no kinds of findings: {', '.join(sorted(unknown))}")
    draw(kinds)


if __name__ == "__main__":
    main()
