"""Load model files with random faults, for some time: ``python tools/fuzz_files.py --seconds 300 --seed 1``.

Bytes, lengths, fields of the header and of the content are changed, with and without a checksum that is right. Loading
must raise TypeError, ValueError or OSError with a message that names the file, or return a net that works. Anything
else ends the run with the traceback, and the file is kept.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HEADROOM = 2**30  # bytes of address space beyond what the process has at the start


def limit_memory() -> None:
    """Let a file that makes loading take much memory end in a MemoryError."""
    try:
        import resource
    except ImportError:  # Windows
        return
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + HEADROOM
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def main() -> int:
    """Run the fuzz; 1 if a file was found that is not refused cleanly."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    from tests.io.faulty_fuzz import Fuzz

    warnings.simplefilter("error")
    with tempfile.TemporaryDirectory(prefix="fastnn-fuzz-") as folder:
        fuzz = Fuzz(Path(folder), arguments.seed)
        for _ in range(100):  # so that all modules are loaded before memory is limited
            fuzz.one()
        limit_memory()
        end = time.monotonic() + arguments.seconds
        try:
            while time.monotonic() < end:
                fuzz.one()
        except BaseException:
            kept = Path(tempfile.gettempdir(), f"fastnn-fuzz-{arguments.seed}.safetensors")
            shutil.copy(fuzz.path, kept)
            print(f"file {fuzz.tried}, kept as {kept}", file=sys.stderr)
            raise
    print(f"{fuzz.tried} files: {fuzz.refused} refused, {fuzz.loaded} loaded; the slowest took {fuzz.slowest:.2f} s")
    print(f"{len(fuzz.messages)} different beginnings of messages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
