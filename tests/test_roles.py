"""The scripts that four kinds of users would write run, with the checks that they contain."""

import runpy
from pathlib import Path

import pytest

ROLES = Path(__file__).resolve().parents[1] / "docs" / "examples" / "roles"
NEEDS = {"sklearn_user": ("sklearn", "pandas", "matplotlib"), "pytorch_user": ("torch", "sklearn", "pandas")}
NEEDS |= {"rl_user": (), "student": ("sklearn", "pandas", "matplotlib")}


@pytest.mark.parametrize("role", NEEDS)
def test_script_of_a_role(role):
    if not ROLES.exists():
        pytest.skip("this test needs the checkout")
    for package in NEEDS[role]:
        pytest.importorskip(package)
    runpy.run_path(str(ROLES / f"{role}.py"))


def test_all_scripts_are_run():
    assert not ROLES.exists() or {path.stem for path in ROLES.glob("*.py")} == set(NEEDS)
