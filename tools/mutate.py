"""Change one term of a compiled kernel at a time, rebuild, and see whether the tests fail.

``python tools/mutate.py`` works in a copy of the checkout and takes some minutes. ``-k PATTERN`` tries only mutations
whose file or description matches. ``--check`` only checks that each can be made: the text that it replaces is there
once. The exit status is 1 if a mutation cannot be made, or if no test fails for it.

The mutations are in ``tests/mutations/<family>.toml``, beside the specs of the family. They are data: neither tests nor
benchmarks load them, and this tool needs no import from the tests.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TABLES = ROOT / "tests" / "mutations"


@dataclass(frozen=True, kw_only=True)
class Mutation:
    """One change, and the tests that must fail for it.

    Attributes
    ----------
    change : str
        What is wrong with the mutated code.
    file : str
        Where it is made, from the root of the checkout.
    old, new : str
        What is replaced, which must be there once, and by what.
    tests, select : str
        What pytest is given: a file or folder, and an expression for ``-k``, empty for all tests.
    """

    change: str
    file: str
    old: str
    new: str
    tests: str
    select: str

    @property
    def name(self) -> str:
        return f"{self.file}: {self.change}"


def load_mutations() -> list[Mutation]:
    """Return the mutations of all families."""
    tables = [tomllib.loads(path.read_text()) for path in sorted(TABLES.glob("*.toml"))]
    return [Mutation(**fields) for table in tables for fields in table["mutation"]]


def obstacle(mutation: Mutation) -> str:
    """Return why a mutation cannot be made; empty if it can."""
    if not (ROOT / mutation.file).is_file():
        return f"{mutation.name}: there is no such file"
    if not (ROOT / mutation.tests).exists():
        return f"{mutation.name}: there are no tests {mutation.tests}"
    count = (ROOT / mutation.file).read_text().count(mutation.old)
    return "" if count == 1 else f"{mutation.name}: {mutation.old!r} is there {count} times, and must be there once"


def copy_checkout(folder: Path) -> None:
    """Copy the files that are under version control, or would be."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def build(folder: Path, python: str) -> None:
    """Bring the compiled parts of the copy up to date."""
    command = [python, "setup.py", "--quiet", "build_ext", "--inplace"]
    done = subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"the build failed:\n{done.stdout}{done.stderr}")


def failed_tests(folder: Path, tests: str, select: str) -> list[str]:
    """Run tests until one fails, and return the names of those that failed."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", "-p", "no:cacheprovider", tests, "-k", select]
    env = os.environ | {"PYTHONPATH": str(folder / "src"), "COLUMNS": "200"}
    origin = [sys.executable, "-c", "import fastnn._native; print(fastnn._native.__file__)"]
    module = subprocess.run(origin, cwd=folder, env=env, check=True, capture_output=True, text=True).stdout
    if not Path(module.strip()).is_relative_to(folder):
        sys.exit(f"the tests would import {module.strip()}, not the mutants")
    done = subprocess.run(command, check=False, cwd=folder, env=env, capture_output=True, text=True)
    names = re.findall(r"^(?:FAILED|ERROR) (.*?)(?: - .*)?$", done.stdout, re.MULTILINE)
    if done.returncode not in (0, 1) or bool(names) != bool(done.returncode):
        sys.exit(f"pytest {tests} -k {select!r} gave no verdict:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return names


def survivors(folder: Path, mutations: list[Mutation], builder: str) -> list[Mutation]:
    """Try every mutation, print which test failed, and return those for which none did."""
    alive = []
    build(folder, builder)
    for tests, select in dict.fromkeys((m.tests, m.select) for m in mutations):
        if names := failed_tests(folder, tests, select):
            sys.exit(f"{names[0]} fails without any mutation")
    print("| mutation | caught by |\n|---|---|", flush=True)
    for mutation in mutations:
        path = folder / mutation.file
        text = path.read_text()
        path.write_text(text.replace(mutation.old, mutation.new))
        build(folder, builder)
        names = failed_tests(folder, mutation.tests, mutation.select)
        path.write_text(text)
        print(f"| {mutation.name} | {names[0] if names else '**nothing**'} |", flush=True)
        if not names:
            alive.append(mutation)
    return alive


def main() -> int:
    """Try the mutations; 1 if one cannot be made or no test fails for it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("-k", default="", help="only the mutations whose file or description matches")
    parser.add_argument("--builder", default=sys.executable, help="the Python that has Cython and setuptools")
    parser.add_argument("--check", action="store_true", help="only check that the mutations can be made")
    arguments = parser.parse_args()
    chosen = [m for m in load_mutations() if re.search(arguments.k, m.name)]
    if not chosen:
        sys.exit(f"no mutation matches {arguments.k!r}")
    wrong, verdict = [problem for m in chosen if (problem := obstacle(m))], "cannot be made"
    if not (wrong or arguments.check):
        with tempfile.TemporaryDirectory(prefix="fastnn-mutants-") as folder:
            copy_checkout(Path(folder))
            alive = survivors(Path(folder).resolve(), chosen, str(Path(arguments.builder).absolute()))
        wrong, verdict = [f"{m.name}: no test failed" for m in alive], "not caught"
    print(*wrong, f"{len(chosen)} mutations, {len(wrong)} {verdict}", sep="\n")
    return min(len(wrong), 1)


if __name__ == "__main__":
    sys.exit(main())
