"""Diagnose random trainings, for some time: ``python tools/fuzz_diagnose.py --seconds 300 --seed 1``.

Data, targets, nets, losses and optimisers are drawn at random, and most do not go together. `fastnn.diagnose` must give
a report, or raise TypeError or ValueError with a message that says what must be. Anything else, and any warning, ends
the run with the traceback.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    """Run the fuzz; it raises at the first training that breaks a diagnosis."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0, help="the first of the seeds, one for each training")
    arguments = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    from tests.random_trainings import random_report

    warnings.simplefilter("error")
    end, reports, refused, slowest = time.monotonic() + arguments.seconds, 0, 0, 0.0
    for seed in itertools.count(arguments.seed):
        start = time.monotonic()
        if start >= end:
            break
        try:
            report = random_report(seed)
        except BaseException:
            print(f"seed {seed}", file=sys.stderr)
            raise
        slowest = max(slowest, time.monotonic() - start)
        reports, refused = reports + (report is not None), refused + (report is None)
    print(f"{reports} reports, {refused} trainings refused; the slowest took {slowest:.2f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
