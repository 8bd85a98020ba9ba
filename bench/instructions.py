"""How many instructions steps, predictions and a hand-written loop take, which no other load on the machine changes.

``python bench/instructions.py [OUT]`` runs each case under valgrind's callgrind, a few times and more times, and writes
the difference for one as JSON, so that imports, checks of arguments and first allocations do not count. float32, ISA
level avx2, which is the widest that valgrind knows. ``--compare KEPT`` fails where a count has grown by more than its
case allows over that of another JSON. The profiles stay beside OUT, for callgrind_annotate.
"""

import argparse
import functools
import gc
import json
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import machine

COUNTED = machine.ROOT / "build" / "instructions.json"
ISA = "avx2"
SAME = ("isa", "compiler", "numpy")  # what two counts have in common that are compared


def steps(name, batches, epochs):
    """Train for so many epochs, of so many batches each."""
    import fastnn
    from fastnn.training import trainer

    # Under valgrind all takes longer: what comes between two slices of an epoch would come, and count, more often.
    assert trainer.SLICE_SECONDS > 0
    trainer.SLICE_SECONDS = math.inf
    net = _net(name)
    X, y, _ = net.data("float32", batches * net.batch)
    fastnn.Trainer(net.native("float32")).fit(X, y, epochs=epochs, batch_size=net.batch, verbose=0)


def predict(count):
    """Predict one row of the `tiny` net so many times."""
    import numpy as np

    config = _net("tiny")
    net, x, out = config.native("float32"), config.data("float32", 1)[0], np.empty((1, config.sizes[-1]), np.float32)
    for _ in range(count):
        net.predict(x, out=out)


def loop(count):
    """Take so many steps of the `tiny` net in a loop written by hand."""
    import numpy as np

    import fastnn
    from fastnn import kernels

    config = _net("tiny")
    net, (X, y, _) = config.native("float32"), config.data("float32", config.batch)
    trainer, dz = fastnn.Trainer(net), np.empty((len(X), config.sizes[-1]), np.float32)
    for _ in range(count):
        kernels.cross_entropy(net.forward(X, training=True), y, grad=dz)
        net.backward(dz)
        trainer.step()


def _net(name):
    from cases import NETS

    return next(net for net in NETS if net.name == name)


class Case(NamedTuple):
    """What is counted: `run(few)` and `run(more)`, whose difference is that of so many of what is told for one."""

    one: str
    run: Callable[[int], None]
    few: int
    more: int
    times: int
    growth: float  # as far as a change may go that is not meant to cost


CASES = {
    "tiny": Case("step of Trainer.fit", functools.partial(steps, "tiny", 100), 1, 3, 2 * 100, 0.01),
    "mnist": Case("step of Trainer.fit", functools.partial(steps, "mnist", 10), 1, 2, 10, 0.003),
    "tab": Case("step of Trainer.fit", functools.partial(steps, "tab", 4), 1, 2, 4, 0.003),
    "predict": Case("one-row predict of tiny", predict, 100, 1100, 1000, 0.01),
    "loop": Case("step of tiny in a loop by hand", loop, 50, 250, 200, 0.01),
}


def count(name, times, profile):
    """Return the instructions of a process that runs a case so many times."""
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={profile}", sys.executable, __file__]
    # Sets of strings, and with them Python's own instructions, are the same in all runs; so are the modules that are
    # compiled, which a first run would else leave to those after it.
    environment = {**os.environ, "FASTNN_ISA": ISA, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    command += ["--case", name, "--times", str(times)]
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return int(re.search(r"Collected : (\d+)", done.stderr)[1])


def measure(out):
    """Return the record of all counts."""
    if shutil.which("valgrind") is None:
        raise SystemExit("no valgrind here, which counts the instructions")
    out.parent.mkdir(parents=True, exist_ok=True)
    counts = {}
    for name, case in CASES.items():
        few, more = (count(name, n, out.with_name(f"callgrind.{name}.{n}.out")) for n in (case.few, case.more))
        counts[name] = round((more - few) / case.times)
        print(f"{name}: {counts[name]}", flush=True)
    os.environ["FASTNN_ISA"] = ISA
    return {"machine": machine.describe(), "instructions": counts}


def compared(counted, kept):
    """Return a sentence for each case that says how much more a count is than another, and those that say too much.

    Raises
    ------
    ValueError
        If the two cannot be compared.
    """
    ours, theirs = counted["machine"], kept["machine"]
    for key in SAME:
        if ours[key] != theirs[key]:
            raise ValueError(f"{key} must be {theirs[key]}, as the kept counts have, got {ours[key]}")
    told, wrong = [], []
    for name, case in CASES.items():
        now, then = counted["instructions"][name], kept["instructions"][name]
        growth = now / then - 1
        told.append(
            f"{name}: {now:,} instructions a {case.one} ({ours['commit']}), kept {then:,} ({theirs['commit']}): "
            f"{growth:+.2%}, at most {case.growth:+.1%}"
        )
        if growth > case.growth:
            wrong.append(told[-1])
    if ours["processor"] != theirs["processor"]:  # whose caches choose how products are cut
        told.append(f"processor: {ours['processor']}, kept {theirs['processor']}: counts may differ with it")
    return told, wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", nargs="?", type=Path, default=COUNTED, help="the JSON file")
    parser.add_argument("--compare", type=Path, metavar="KEPT", help="a JSON file of other counts")
    parser.add_argument("--case", choices=CASES, help="what valgrind runs: this case, and no more")
    parser.add_argument("--times", type=int, help="how many times")
    arguments = parser.parse_args()
    machine.prepare()
    sys.path.append(str(machine.ROOT / "tests"))  # pytest's setting is not read here
    if arguments.case:
        gc.disable()  # it comes as the modules' objects fall, and takes as long as they are many
        CASES[arguments.case].run(arguments.times)
        return
    counted = measure(arguments.out)
    arguments.out.write_text(json.dumps(counted, indent=1) + "\n")
    if arguments.compare:
        try:
            told, wrong = compared(counted, json.loads(arguments.compare.read_text()))
        except ValueError as error:
            raise SystemExit(f"the counts cannot be compared: {error}") from error
        print(*told, sep="\n")
        if wrong:
            raise SystemExit("\n".join(["these have grown by more than they may:", *wrong]))


if __name__ == "__main__":
    main()
