"""How many times as long other libraries take as fastnn for the same training steps, epochs and kernels, on one core.

``python -m bench.run.peers [--isa LEVEL] [-k TEXT] [--fast] [OUT]`` checks that a peer's losses are fastnn's, measures,
and writes JSON after every case: the seconds of each library and the quartiles of the ratios of neighbouring samples.
An interrupted run is resumed. ``--isa avx2`` limits fastnn to that level, and every peer that can be limited.
``--table`` prints what has been measured. A peer that is not installed is named, and the rest run.
"""

import argparse
import gc
import importlib.metadata
import json
import os
from pathlib import Path

from bench.lib import machine
from bench.lib.records import resumed, write
from bench.lib.tables.peers import peers_text
from bench.lib.timing import key_of, measure

BUDGET = {"step": (12.0, 11), "epoch": (12.0, 5), "kernel": (0.7, 21)}  # seconds for a case, and rounds at least
LIBRARIES = ("scikit-learn", "torch", "jax", "jaxlib")
ONE_THREAD = "--xla_cpu_multi_thread_eigen=false"  # of JAX, which reads it when it is imported

# Level -> environment variables that limit the peers to it: NumPy and its BLAS, PyTorch with oneDNN and MKL, JAX.
PEERS_AT = {
    "avx2": {
        "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
        "OPENBLAS_CORETYPE": "Haswell",
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "XLA_FLAGS": f"{ONE_THREAD} --xla_cpu_max_isa=AVX2",
    }
}


def prepare(isa):
    """Limit fastnn, and the peers where they allow it, to an ISA level, and JAX to one thread as well."""
    os.environ.update(XLA_FLAGS=ONE_THREAD, JAX_PLATFORMS="cpu")
    if isa:
        os.environ.update({"FASTNN_ISA": isa, **PEERS_AT.get(isa, {})})
    machine.prepare()


def versions(libraries=LIBRARIES):
    found = {}
    for name in libraries:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def default_out(isa):
    return machine.ROOT / "build" / (f"peers-{isa}.json" if isa else "peers.json")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", nargs="*", type=Path, help="the JSON file; by default build/peers[-LEVEL].json")
    parser.add_argument("-k", default="", help="only the cases whose id contains this text")
    parser.add_argument("--isa", help="the level to run; by default the machine's best")
    parser.add_argument("--seconds", type=float, default=1.0, help="factor on the time for each case")
    parser.add_argument("--fast", action="store_true", help="the small cases, few rounds, nothing that compiles long")
    parser.add_argument("--table", action="store_true", help="print tables of what these files hold, and stop")
    arguments = parser.parse_args()
    outs = arguments.out or [default_out(arguments.isa)]
    if arguments.table:
        print(peers_text([json.loads(out.read_text()) for out in outs]))
        return
    (out,) = outs
    prepare(arguments.isa)
    run(out, arguments)


def run(out, arguments):
    """Measure the cases that the JSON does not have yet."""
    from bench.lib.peer_cases import cases  # imports NumPy, which must follow `prepare`

    where = {**machine.describe(), "libraries": versions()}
    notes = {"missing": {}, "losses differ by": {}, "chosen": {}}
    results = resumed(out, where) or {"machine": where, **notes, "cases": []}
    measured = {key_of(record) for record in results["cases"]}
    gc.disable()
    for case in cases(arguments.fast, *(results[note] for note in notes)):
        if arguments.k in case.id and key_of(vars(case)) not in measured:
            seconds, rounds = BUDGET[case.family]
            fast = arguments.fast
            record = measure(case, 0 if fast else arguments.seconds * seconds, 3 if fast else rounds)
            results["cases"].append(record)
            write(out, results, "cases")
            print(case.id, {peer: q[1] for peer, q in record["ratios"].items()}, flush=True)
            gc.collect()
    for name, reason in results["missing"].items():
        print(f"No {name}: {reason}.")


if __name__ == "__main__":
    main()
