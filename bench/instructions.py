"""How many instructions 100 training steps of the `mnist` net take: a count that no other load on the machine moves.

``python bench/instructions.py [OUT]`` runs Trainer.fit under valgrind's callgrind, for one epoch and for some more, and
writes the difference as JSON, so that imports, checks of arguments and first allocations do not count. float32, ISA
level avx2, which is the widest that valgrind knows. ``--compare KEPT`` fails where the count has grown by more than 2 %
over that of another JSON. The profiles stay beside OUT, for callgrind_annotate.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import machine

COUNTED = machine.ROOT / "build" / "instructions.json"
ISA = "avx2"
STEPS = 100  # which the count is told for
BATCHES = 10  # of an epoch
EPOCHS = 3  # of the longer run; the count of its epochs after the first is scaled to STEPS
GROWTH = 0.02
SAME = ("isa", "compiler", "numpy")  # what two counts have in common that are compared


def fit(epochs):
    """Train for so many epochs of BATCHES steps."""
    from cases import NETS

    import fastnn

    net = next(net for net in NETS if net.name == "mnist")
    X, y, _ = net.data("float32", BATCHES * net.batch)
    fastnn.Trainer(net.native("float32")).fit(X, y, epochs=epochs, batch_size=net.batch, verbose=0)


def count(epochs, profile):
    """Return the instructions of a process that trains for so many epochs."""
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={profile}", sys.executable, __file__]
    # Sets of strings, and with them Python's own instructions, are the same in both runs.
    environment = {**os.environ, "FASTNN_ISA": ISA, "PYTHONHASHSEED": "0"}
    done = subprocess.run(
        [*command, "--fit", str(epochs)], env=environment, check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return int(re.search(r"Collected : (\d+)", done.stderr)[1])


def measure(out):
    """Return the record of a count."""
    if shutil.which("valgrind") is None:
        raise SystemExit("no valgrind here, which counts the instructions")
    out.parent.mkdir(parents=True, exist_ok=True)
    first, last = (count(epochs, out.with_name(f"callgrind.{epochs}.out")) for epochs in (1, EPOCHS))
    os.environ["FASTNN_ISA"] = ISA
    return {
        "machine": machine.describe(),
        "steps": STEPS,
        "instructions": round((last - first) * STEPS / (BATCHES * (EPOCHS - 1))),
    }


def compared(counted, kept):
    """Return how much more a count is than another, and a sentence that says so.

    Raises
    ------
    ValueError
        If the two cannot be compared.
    """
    ours, theirs = counted["machine"], kept["machine"]
    for key in SAME:
        if ours[key] != theirs[key]:
            raise ValueError(f"{key}: expected {theirs[key]}, as the kept count has, came {ours[key]}")
    growth = counted["instructions"] / kept["instructions"] - 1
    now, then = (f"{1e-6 * each['instructions']:.1f} ({each['machine']['commit']})" for each in (counted, kept))
    return growth, f"million instructions in {counted['steps']} steps of mnist: {now}, kept {then}: {growth:+.2%}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", nargs="?", type=Path, default=COUNTED, help="the JSON file")
    parser.add_argument("--compare", type=Path, metavar="KEPT", help="a JSON file of another count")
    parser.add_argument("--fit", type=int, metavar="EPOCHS", help="what valgrind runs: train, and no more")
    arguments = parser.parse_args()
    machine.prepare()
    sys.path.append(str(machine.ROOT / "tests"))  # pytest's setting is not read here
    if arguments.fit:
        fit(arguments.fit)
        return
    counted = measure(arguments.out)
    arguments.out.write_text(json.dumps(counted, indent=1) + "\n")
    print(json.dumps(counted))
    if arguments.compare:
        try:
            growth, told = compared(counted, json.loads(arguments.compare.read_text()))
        except ValueError as error:
            raise SystemExit(f"the two counts cannot be compared: {error}") from error
        print(told)
        if growth > GROWTH:
            raise SystemExit(f"expected a growth of at most {GROWTH:.0%}")


if __name__ == "__main__":
    main()
