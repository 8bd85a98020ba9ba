"""The generated parts of README and docs: text between two marks, from the measurements in bench/results.

``python bench/pages.py`` writes them; ``--keep`` first copies what has been measured in build/ to bench/results. A page
has the parts whose marks, ``<!-- name: begin -->`` and ``<!-- name: end -->``, it holds; a part that has not
been measured is empty. ``--figures`` draws the pictures as well, which takes matplotlib.
"""

import argparse
import json
import re
import shutil

import instructions
import limits
import ops
import report
import sweep
from machine import ROOT
from records import RESULTS

PAGES = ("README.md", "docs/why-it-is-fast.md", "docs/from-scikit-learn.md")
MARKED = re.compile(r"<!-- (?P<name>[a-z-]+): begin -->\n(?P<text>.*?)<!-- (?P=name): end -->", re.DOTALL)


def _peers(*families):
    return lambda *levels: report.peers_text(levels, families)


def _limits(results):
    isa = ("avx2", "avx512", "neon")
    shown = {**results, "limits": [r for r in results["limits"] if r["isa"] in isa]}
    caches = ", ".join(f"{level} {cache['bytes'] >> 10} kB" for level, cache in results["caches"].items())
    return f"{limits.limits_table(shown)}\n\n{results['machine']['processor']}; {caches}. `make limits` measures this."


def _steps(*levels):
    picture = "![Each product of a step under the roofline](figures/roofline.svg)"
    told = "Each mark is a product of a step; the larger, the longer it takes."
    return f"{ops.steps_table(levels)}\n\n{picture}\n\n{told}\n\n{report.conditions(levels[0]['machine'])}"


def _profile(results):
    shown = [record for record in results["nets"] if record["dtype"] == "float32"]
    return "\n\n".join(f"**{record['name']}**, {record['batch']} rows\n\n{ops.ops_table(record)}" for record in shown)


def _sweep(results):
    records = results["points"]
    picture = "![The time of a step over its roofline](figures/sweep.svg)"
    parts = [picture, sweep.flags_text(records), sweep.series_table(records), sweep.odd_table(records)]
    return "\n\n".join([*parts, report.conditions(results["machine"])])


def _instructions(results):
    machine = results["machine"]
    rows = [
        f"| {name} | {case.one} | {results['instructions'][name]:,} | {case.growth:.1%} |"
        for name, case in instructions.CASES.items()
    ]
    table = "\n".join(["| case | one is a | instructions | may grow by |", "|---|---|---|---|", *rows])
    return f"{table}\n\n{machine['processor']}, {machine['compiler']}, at {machine['commit']}."


# Part of a page -> the measurements that it is made of, the first of which it needs, and how.
PARTS = {
    "speed": (("ratios",), report.speed_text),
    "sklearn": (("sklearn",), report.door_text),
    "peers": (("peers", "peers-avx2"), _peers("step", "epoch")),
    "peers-kernels": (("peers", "peers-avx2"), _peers("kernel")),
    "limits": (("limits",), _limits),
    "steps": (("ops", "ops-avx2"), _steps),
    "profile": (("ops",), _profile),
    "sweep": (("sweep",), _sweep),
    "instructions": (("instructions",), _instructions),
}
MEASURED = sorted({name for names, _ in PARTS.values() for name in names} - {"instructions"})


def part(name):
    """Return the text of a part, "" where its measurements are not there."""
    names, text = PARTS[name]
    paths = [RESULTS / f"{each}.json" for each in names]
    if not paths[0].exists():
        return ""
    return text(*(json.loads(path.read_text()) for path in paths if path.exists()))


def filled(page):
    """Return a page with its parts as they should be."""

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
        import figures

        figures.draw()


if __name__ == "__main__":
    main()
