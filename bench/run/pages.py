"""Writes the generated parts of README and docs, and draws their pictures, from the measurements in bench/results.

``python -m bench.run.pages`` writes the text between the marks ``<!-- name: begin -->`` and ``<!-- name: end -->``. A
part whose measurements do not exist is empty. ``--keep`` first copies what was measured in build/ to bench/results.
``--figures`` draws the pictures as well, which needs matplotlib.
"""

import argparse
import functools
import json
import re
import shutil

from bench.lib import figures
from bench.lib.machine import ROOT
from bench.lib.records import RESULTS
from bench.lib.tables import calls
from bench.lib.tables.diagnosis import diagnosis_text
from bench.lib.tables.estimators import estimators_text
from bench.lib.tables.images import images_text
from bench.lib.tables.instructions import instructions_text
from bench.lib.tables.limits import limits_text
from bench.lib.tables.ops import profile_text, steps_text
from bench.lib.tables.peers import peers_text
from bench.lib.tables.ratios import speed_text
from bench.lib.tables.sweep import sweep_text

PAGES = (
    "README.md",
    "docs/why-it-is-fast.md",
    "docs/calls.md",
    "docs/from-scikit-learn.md",
    "docs/training-tools.md",
    "docs/decisions/0026-a-diagnosis-that-proves-its-advice.md",
)
MARKED = re.compile(r"<!-- (?P<name>[a-z-]+): begin -->\n(?P<text>.*?)<!-- (?P=name): end -->", re.DOTALL)


def _peers(*families):
    return lambda *levels: peers_text(levels, families)


# Part of a page -> the measurements that it shows, the first of which it needs, and the function of its text.
PARTS = {
    "speed": (("ratios",), speed_text),
    "sklearn": (("sklearn",), estimators_text),
    "peers": (("peers", "peers-avx2"), _peers("step", "epoch")),
    "peers-kernels": (("peers", "peers-avx2"), _peers("kernel")),
    "calls": (("calls", "calls-before"), functools.partial(calls.part_text, calls.PREDICTIONS)),
    "calls-tails": (("calls", "calls-before"), functools.partial(calls.part_text, calls.TAILS)),
    "calls-steps": (("calls", "calls-before"), functools.partial(calls.part_text, calls.STEPS)),
    # In a file of its own, as calls.json is of another machine: bench.run.calls -k batch-tiny build/calls-batches.json
    "calls-batches": (("calls-batches", "calls-batches-before"), functools.partial(calls.part_text, calls.BATCHES)),
    "calls-kernels": (("calls", "calls-before"), functools.partial(calls.part_text, calls.KERNELS)),
    "limits": (("limits",), limits_text),
    "steps": (("ops", "ops-avx2"), steps_text),
    "profile": (("ops",), profile_text),
    "sweep": (("sweep",), sweep_text),
    "images": (("images",), images_text),
    "diagnosis": (("diagnosis",), diagnosis_text),
    "instructions": (("instructions",), instructions_text),
}
MEASURED = sorted({name for names, _ in PARTS.values() for name in names} - {"instructions"})


def part(name):
    """Return the text of a part, or "" if its measurements do not exist."""
    names, text = PARTS[name]
    paths = [RESULTS / f"{each}.json" for each in names]
    if not paths[0].exists():
        return ""
    return text(*(json.loads(path.read_text()) for path in paths if path.exists()))


def filled(page):
    """Return a page with its parts up to date."""

    def replaced(match):
        text = part(match["name"])
        return f"<!-- {match['name']}: begin -->\n{text}{chr(10) * bool(text)}<!-- {match['name']}: end -->"

    return MARKED.sub(replaced, page)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keep", action="store_true", help="first copy build/*.json to bench/results")
    parser.add_argument("--figures", action="store_true", help="draw the pictures")
    arguments = parser.parse_args()
    for name in MEASURED if arguments.keep else ():
        measured = ROOT / "build" / f"{name}.json"
        if measured.exists():
            shutil.copyfile(measured, RESULTS / measured.name)
            print(f"kept {measured.name}")
    for name in PAGES:
        path = ROOT / name
        text = path.read_text()
        if filled(text) != text:
            path.write_text(filled(text))
            print(f"wrote {name}")
    if arguments.figures:
        figures.draw()


if __name__ == "__main__":
    main()
