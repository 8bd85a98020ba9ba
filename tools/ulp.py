"""Measure the error of an elementary function of csrc, in units in the last place.

    python tools/ulp.py tanh --dtype float32 --level avx2 --exhaustive

It needs only a C compiler ($CC, else cc). The oracle is the C library's function in the next wider type, so float64
needs a ``long double`` with more digits than ``double``. A sample takes a few seconds. ``--exhaustive`` takes minutes:
every float32, or 2**32 values of float64. The exit status is 1 if an error is above the function's bound (2 ULP; 4 ULP
for composed functions), if a NaN became a number, or a number NaN.
"""

import argparse
import os
import shlex
import subprocess
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MACHINES = tomllib.loads((ROOT / "csrc" / "isa" / "levels.toml").read_text())
LEVELS = {level: row for levels in MACHINES.values() for level, row in levels.items()}
DTYPES = {"float32": "FNN_F32", "float64": "FNN_F64"}
FUNCTIONS = (
    *("exp", "expm1", "log1p", "tanh", "sigmoid", "cos_turns", "sin_turns"),
    *("elu", "selu", "celu", "softplus", "silu", "mish", "gelu", "gelu_tanh"),
)
SAMPLED_STEP = 1009  # a prime, so that the samples' low bits vary


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("function", choices=FUNCTIONS, help="expm1 is for x <= 0, log1p for 0 <= x <= 1")
    parser.add_argument("--parameter", type=float, default=1.0, help="alpha or beta of the functions that have one")
    parser.add_argument("--dtype", choices=DTYPES, default="float32")
    parser.add_argument("--level", choices=LEVELS, default="avx2")
    parser.add_argument("--exhaustive", action="store_true")
    args = parser.parse_args()
    level = LEVELS[args.level]
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "ulp"
        subprocess.run(
            [
                *shlex.split(os.environ.get("CC", "cc")),
                *("-O3", "-std=c11", "-ffp-contract=off", "-fno-math-errno", "-w"),
                *level["flags"],
                f"-DFNN_VBYTES={level['vector_bytes']}",
                f"-D{DTYPES[args.dtype]}",
                f"-DFNN_PARAMETER={args.parameter!r}",
                f"-I{ROOT / 'csrc'}",
                *(str(ROOT / "tools" / "ulp.c"), "-o", str(program), "-lm"),
            ],
            check=True,
        )
        step = 1 if args.exhaustive else SAMPLED_STEP
        return subprocess.run([program, args.function, str(step)], check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())
