"""How many instructions training steps, predictions and a hand-written loop take: a count that no other load changes.

``python -m bench.run.instructions [OUT]`` runs each case under valgrind's callgrind, a few times and more times, and
writes the difference for one unit as JSON, so that imports, checks of arguments and first allocations do not count. The
ISA level is avx2, the widest that valgrind supports. ``--compare KEPT`` fails if a count has grown from that in another
JSON by more than its case allows. The profiles stay beside OUT, for callgrind_annotate.
"""

import argparse
import gc
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from bench.lib import machine
from bench.lib.instruction_cases import CASES

COUNTED = machine.ROOT / "build" / "instructions.json"
ISA = "avx2"
SAME = ("isa", "compiler", "numpy")  # these must be equal for two counts to be comparable


def count(name, times, profile):
    """Return the instructions of a process that runs a case so many times."""
    (collected,) = counts(["-m", "bench.run.instructions", "--case", name, "--times", str(times)], profile)
    return collected


def counts(arguments, profile):
    """Return the instructions of the processes that end, in this order, as Python runs with these arguments at `ISA`.

    A process that was forked counts those of its parent until then as its own.
    """
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={profile}", sys.executable, *arguments]
    # A fixed hash seed makes the order of sets of strings, and so Python's own instructions, equal in all runs. No
    # bytecode is written: otherwise the first run would compile the modules and the others would not.
    environment = {**os.environ, "FASTNN_ISA": ISA, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=machine.ROOT, env=environment, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return [int(each) for each in re.findall(r"Collected : (\d+)", done.stderr)]


def measure(out):
    """Return the record of all counts."""
    if shutil.which("valgrind") is None:
        raise SystemExit("counting instructions needs valgrind, which is not installed")
    out = out.absolute()  # the counted processes run in the root of the checkout
    out.parent.mkdir(parents=True, exist_ok=True)
    counts = {}
    for name, case in CASES.items():
        few, more = (count(name, n, out.with_name(f"callgrind.{name}.{n}.out")) for n in (case.few, case.more))
        counts[name] = round((more - few) / case.units)
        print(f"{name}: {counts[name]}", flush=True)
    os.environ["FASTNN_ISA"] = ISA
    return {"machine": machine.describe(), "instructions": counts}


def compared(counted, kept):
    """Compare two records of counts.

    Returns
    -------
    lines : list of str
        A sentence for each case that says by how much its count has grown.
    exceeded : list of str
        Those of the sentences whose case has grown by more than it may.

    Raises
    ------
    ValueError
        If the two cannot be compared.
    """
    ours, theirs = counted["machine"], kept["machine"]
    for key in SAME:
        if ours[key] != theirs[key]:
            raise ValueError(f"{key} must be {theirs[key]}, as in the kept counts, got {ours[key]}")
    lines, exceeded = [], []
    for name, case in CASES.items():
        now, then = counted["instructions"][name], kept["instructions"][name]
        growth = now / then - 1
        lines.append(
            f"{name}: {now:,} instructions for a {case.unit} ({ours['commit']}), kept {then:,} ({theirs['commit']}): "
            f"{growth:+.2%}, at most {case.growth:+.1%}"
        )
        if growth > case.growth:
            exceeded.append(lines[-1])
    if ours["processor"] != theirs["processor"]:  # the block sizes of products depend on its caches
        lines.append(f"processor: {ours['processor']}, kept {theirs['processor']}: counts may differ for this reason")
    return lines, exceeded


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", nargs="?", type=Path, default=COUNTED, help="the JSON file")
    parser.add_argument("--compare", type=Path, metavar="KEPT", help="a JSON file of other counts")
    parser.add_argument("--case", choices=CASES, help="run this case and stop: this is what valgrind runs")
    parser.add_argument("--times", type=int, help="how many times to run it")
    arguments = parser.parse_args()
    machine.prepare()
    if arguments.case:
        gc.disable()  # when it runs, and for how long, depends on the objects of all imported modules
        CASES[arguments.case].run(arguments.times)
        return
    counted = measure(arguments.out)
    arguments.out.write_text(json.dumps(counted, indent=1) + "\n")
    if arguments.compare:
        try:
            lines, exceeded = compared(counted, json.loads(arguments.compare.read_text()))
        except ValueError as error:
            raise SystemExit(f"the counts cannot be compared: {error}") from error
        print(*lines, sep="\n")
        if exceeded:
            raise SystemExit("\n".join(["these counts have grown by more than they may:", *exceeded]))


if __name__ == "__main__":
    main()
