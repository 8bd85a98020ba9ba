"""Check that no instruction of an ISA level stands outside the level's own units, and that csrc is linked once.

It looks at the static libraries in build/ and the extensions in src/ with binutils' objdump and nm. A level's code that
reaches another object (an inline function merged by the linker, a flag in the wrong place) is an illegal instruction on
someone's machine.
"""

import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

# What x86-64-v2 lacks: VEX and EVEX encodings (v...), LZCNT, MOVBE and BMI; but TZCNT is BSF to older machines.
BEYOND_BASELINE = re.compile(r"^(v(?!err|erw)\w+|andn|bextr|bls\w+|bzhi|lzcnt|movbe|mulx|pdep|pext|rorx|s[ah][lr]x)\b")
# What x86-64-v3 lacks: 512 bits, masks, 32 registers.
BEYOND_AVX2 = re.compile(r"%zmm|%k[0-7]|%[xy]mm(1[6-9]|2\d|3[01])")
FORBIDDEN = {"avx2": BEYOND_AVX2, "avx512": re.compile(r"(?!)"), "neon": re.compile(r"(?!)")}


def run(*command: str) -> Iterator[str]:
    """The lines that a command writes."""
    return iter(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines())


def instructions(path: Path) -> Iterator[str]:
    """The instructions in an object, an archive or an extension."""
    for line in run("objdump", "--disassemble", "--no-show-raw-insn", str(path)):
        address, tab, instruction = line.partition(":\t")
        if tab and address.strip():
            yield instruction.strip()


def defined(path: Path) -> Iterator[str]:
    """The names that other objects can link to."""
    for line in run("nm", "--extern-only", "--defined-only", str(path)):
        if len(fields := line.split()) == 3:
            yield fields[2]


def problems_of_library(path: Path) -> Iterator[str]:
    """What is wrong with one static library, libfastnn_<level>.a."""
    level = path.stem.removeprefix("libfastnn_")
    forbidden = FORBIDDEN.get(level, BEYOND_BASELINE)
    if found := next(filter(forbidden.search, instructions(path)), None):
        yield f"{path}: {found!r} is beyond what every machine of this level runs"
    names = list(defined(path))
    if not names:
        yield f"{path}: holds nothing"
    for name in names:
        if not name.startswith("fnn_") or (level != "core" and not re.search(rf"_{level}(_|$)", name)):
            yield f"{path}: {name} is visible to other objects; make it static, or fnn_..._{level}_..."


def problems_of_extension(path: Path) -> Iterator[str]:
    """What is wrong with one compiled module; _native alone holds csrc, with every level."""
    if path.name.startswith("_native."):
        return
    if found := next(filter(BEYOND_BASELINE.search, instructions(path)), None):
        yield f"{path}: {found!r} is beyond the baseline"
    if any("pthread_create" in line for line in run("nm", "--dynamic", "--undefined-only", str(path))):
        yield f"{path}: has a thread pool of its own; csrc is to be linked into _native alone"


def main() -> int:
    """Check everything that is built for this machine; 1 if anything is wrong."""
    libraries = sorted(Path("build", f"csrc-{sysconfig.get_platform()}").glob("libfastnn_*.a"))
    extensions = sorted(Path("src").rglob(f"*{sysconfig.get_config_var('EXT_SUFFIX')}"))
    problems = [problem for path in libraries for problem in problems_of_library(path)]
    problems += [problem for path in extensions for problem in problems_of_extension(path)]
    if not libraries or not extensions:
        problems.append(f"nothing to check: {len(libraries)} libraries and {len(extensions)} extensions are built")
    print(*problems, f"{len(libraries)} libraries, {len(extensions)} extensions, {len(problems)} problems", sep="\n")
    return min(len(problems), 1)


if __name__ == "__main__":
    sys.exit(main())
