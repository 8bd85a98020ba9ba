"""Check a built wheel: its size, that it contains only the package, and that it works without the checkout.

``python tools/check_wheel.py WHEEL`` installs the wheel with its declared dependencies into a new environment.
"""

import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

LIMIT = 5_000_000  # bytes
SUFFIXES = {".py", ".pyi", ".so", ".typed", ""}


def problems_of_contents(wheel: Path) -> list[str]:
    """Return what is wrong with the wheel as a file."""
    problems = []
    size = wheel.stat().st_size
    print(f"{wheel.name}: {size / 1e6:.2f} MB")
    if size >= LIMIT:
        problems.append(f"the wheel has {size} bytes; at most {LIMIT} are allowed")
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]
    problems += [f"{name} does not belong in a wheel" for name in names if Path(name).suffix not in SUFFIXES]
    modules = [name for name in names if name.endswith(".so")]
    stubs = {name for name in names if name.endswith(".pyi")}
    problems += [f"{name} has no stub" for name in modules if f"{name.split('.')[0]}.pyi" not in stubs]
    if not modules or "fastnn/py.typed" not in names:
        problems.append("compiled modules or py.typed are missing")
    return problems


def try_out(wheel: Path) -> None:
    """Install the wheel and run it in a folder without the checkout."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder, "bin", "python")
        subprocess.run([python, "-m", "pip", "install", "--quiet", wheel.resolve()], check=True, cwd=folder)
        subprocess.run([python, "-m", "fastnn"], check=True, cwd=folder)


def main(wheel: Path) -> int:
    """Check one wheel; return 1 if anything is wrong."""
    problems = problems_of_contents(wheel)
    print(*problems, sep="\n", end="\n" if problems else "")
    try_out(wheel)
    return min(len(problems), 1)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
