"""Check that no instruction of an ISA level is outside the level's own units, and that csrc is linked once.

It reads the static libraries in build/ and the extensions in src/ with binutils' objdump and nm. If a level's code gets
into another object, by an inline function that the linker merged or a flag in the wrong place, the program stops with
an illegal instruction on machines without that level. It also compares the widths of vectors in csrc/isa/levels.toml
with those of the units.
"""

import re
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterator
from pathlib import Path

# Instructions that x86-64-v2 lacks: VEX and EVEX encodings (v...), LZCNT, MOVBE and BMI. TZCNT is not among them: older
# machines run it as BSF.
BEYOND_BASELINE = re.compile(r"^(v(?!err|erw)\w+|andn|bextr|bls\w+|bzhi|lzcnt|movbe|mulx|pdep|pext|rorx|s[ah][lr]x)\b")
# Operands that x86-64-v3 lacks: 512-bit registers, masks, and registers 16 to 31.
BEYOND_AVX2 = re.compile(r"%zmm|%k[0-7]|%[xy]mm(1[6-9]|2\d|3[01])")
NOTHING = re.compile(r"(?!)")
# Instructions that a level must not have; BEYOND_BASELINE for the baseline and the core.
FORBIDDEN = {"avx2": BEYOND_AVX2, "avx512": NOTHING, "neon": NOTHING}

UNITS = Path("csrc", "isa")


def run(*command: str) -> Iterator[str]:
    """Yield the lines that a command writes."""
    return iter(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines())


def instructions(path: Path) -> Iterator[str]:
    """Yield the instructions in an object, an archive or an extension."""
    for line in run("objdump", "--disassemble", "--no-show-raw-insn", str(path)):
        address, tab, instruction = line.partition(":\t")
        if tab and address.strip():
            yield instruction.strip()


def defined(path: Path) -> Iterator[str]:
    """Yield the names that other objects can link to."""
    for line in run("nm", "--extern-only", "--defined-only", str(path)):
        if len(fields := line.split()) == 3:
            yield fields[2]


def problems_of_units() -> Iterator[str]:
    """Yield what is wrong with the units' vector widths, at every level of every machine."""
    for levels in tomllib.loads((UNITS / "levels.toml").read_text()).values():
        for level, row in levels.items():
            for path in (UNITS / f"{level}_f32.c", UNITS / f"{level}_f64.c"):
                if f"#define FNN_VBYTES {row['vector_bytes']}\n" not in path.read_text():
                    yield f"{path}: FNN_VBYTES is not the {row['vector_bytes']} of {UNITS / 'levels.toml'}"


def problems_of_library(path: Path) -> Iterator[str]:
    """Yield what is wrong with one static library, libfastnn_<level>.a."""
    level = path.stem.removeprefix("libfastnn_")
    forbidden = FORBIDDEN.get(level, BEYOND_BASELINE)
    if found := next(filter(forbidden.search, instructions(path)), None):
        yield f"{path}: {found!r} is not an instruction of every machine of this level"
    names = list(defined(path))
    if not names:
        yield f"{path}: defines nothing"
    for name in names:
        if not name.startswith("fnn_") or (level != "core" and not re.search(rf"_{level}(_|$)", name)):
            yield f"{path}: {name} is visible to other objects; make it static, or fnn_..._{level}_..."


def problems_of_extension(path: Path) -> Iterator[str]:
    """Yield what is wrong with one compiled module. _native has csrc with every level, and is not checked."""
    if path.name.startswith("_native."):
        return
    if found := next(filter(BEYOND_BASELINE.search, instructions(path)), None):
        yield f"{path}: {found!r} is not an instruction of the baseline"
    if any("pthread_create" in line for line in run("nm", "--dynamic", "--undefined-only", str(path))):
        yield f"{path}: has a thread pool; only _native may link csrc"


def main() -> int:
    """Check everything that is built for this machine; return 1 if anything is wrong."""
    libraries = sorted(Path("build", f"csrc-{sysconfig.get_platform()}").glob("libfastnn_*.a"))
    extensions = sorted(Path("src").rglob(f"*{sysconfig.get_config_var('EXT_SUFFIX')}"))
    problems = list(problems_of_units())
    problems += [problem for path in libraries for problem in problems_of_library(path)]
    problems += [problem for path in extensions for problem in problems_of_extension(path)]
    if not libraries or not extensions:
        problems.append(f"nothing to check: {len(libraries)} libraries and {len(extensions)} extensions are built")
    print(*problems, f"{len(libraries)} libraries, {len(extensions)} extensions, {len(problems)} problems", sep="\n")
    return min(len(problems), 1)


if __name__ == "__main__":
    sys.exit(main())
