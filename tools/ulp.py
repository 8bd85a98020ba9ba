"""Measure the error of an elementary function of csrc, in units in the last place.

    python tools/ulp.py tanh --dtype float32 --level avx2 --exhaustive

It needs a C compiler alone ($CC, else cc).  The oracle is the C library's function in the next wider type, so float64
needs a ``long double`` of more digits than ``double``.  Sampled, it takes a few seconds; exhaustively (float32: every
value; float64: 2**32 values) minutes.  The exit status is 1 if an error is above the function's bound, 2 ULP or,
composed, 4, or a NaN was lost or made.
"""

import argparse
import os
import shlex
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# As in setup.py: what the level's units are compiled with, and the bytes of its vectors.
LEVELS = {
    "baseline": (["-march=x86-64-v2"], 16),
    "avx2": (["-march=x86-64-v3"], 32),
    "avx512": (["-march=x86-64-v4", "-mprefer-vector-width=512"], 64),
    "neon": (["-march=armv8-a"], 16),
}
DTYPES = {"float32": "FNN_F32", "float64": "FNN_F64"}
FUNCTIONS = (
    *("exp", "expm1", "log1p", "tanh", "sigmoid"),
    *("elu", "selu", "celu", "softplus", "silu", "mish", "gelu", "gelu_tanh"),
)
SAMPLED_STEP = 1009  # a prime, so that the samples' low bits vary


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("function", choices=FUNCTIONS, help="expm1 is for x <= 0, log1p for 0 <= x <= 1")
    parser.add_argument("--parameter", type=float, default=1.0, help="alpha or beta of those that have one")
    parser.add_argument("--dtype", choices=DTYPES, default="float32")
    parser.add_argument("--level", choices=LEVELS, default="avx2")
    parser.add_argument("--exhaustive", action="store_true")
    args = parser.parse_args()
    flags, vector_bytes = LEVELS[args.level]
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "ulp"
        subprocess.run(
            [
                *shlex.split(os.environ.get("CC", "cc")),
                *("-O3", "-std=c11", "-ffp-contract=off", "-fno-math-errno", "-w"),
                *flags,
                f"-DFNN_VBYTES={vector_bytes}",
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
