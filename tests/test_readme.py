"""README and docs: examples run, links and commands exist, generated tables are up to date."""

import doctest
import importlib
import re
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn import __main__

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
if not README.is_file():
    pytest.skip("these tests need the checkout", allow_module_level=True)

PAGES = [README, ROOT / "CONTRIBUTING.md", ROOT / "csrc" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)

# Checks of the examples' results, by the names that each defines; in the order of README.
CHECKS = [
    lambda names: names["history"]["val_accuracy"][-1] > 0.85 and names["z"].shape == (3000, 2),
    lambda names: np.abs(names["z"][:, 0] - names["price"][2000:]).mean() < 0.1 * names["price"].mean(),
    lambda names: np.abs(names["dz"]).mean() < 0.15 * np.abs(names["x"][:, 0] * names["x"][:, 1]).mean(),
    lambda names: list(names["norms"]) == [100, 200, 250, 350, 450, 500],
    lambda names: names["log"]["val_loss"].tolist() == names["history"]["val_loss"],
    lambda names: names["h"].shape == (128, 256) and (names["h"] >= 0).all(),
    lambda names: names["model"].score(names["X"], names["labels"]) > 0.9,
    lambda names: (
        names["boundary"].collections and all(Path(f"{each}.html").is_file() for each in ("history", "report"))
    ),
]


@pytest.fixture(autouse=True)
def no_figure_stays_open():
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.mark.parametrize(("example", "check"), list(zip(EXAMPLES, CHECKS, strict=True)))
def test_example(example, check, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(example, "README.md", "exec"), names)  # noqa: S102
    assert check(names)


NEED = {"from-scikit-learn.md": ("sklearn",)}
NEED |= dict.fromkeys(("pictures-of-nets.md", "pictures-of-trainings.md", "reports.md"), ("matplotlib",))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_sessions(page):
    """The interactive examples of a page run, in one namespace."""
    for package in NEED.get(page.name, ()):
        pytest.importorskip(package)
    text = "".join(re.findall(r"^```pycon\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL))
    examples = doctest.DocTestParser().get_doctest(text, {"__name__": "__main__"}, page.name, str(page), 0)
    results = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS).run(examples)
    assert results.failed == 0 and (results.attempted > 0) == ("```pycon" in page.read_text())


DIFFS = re.findall(r"^```diff\n(.*?)^```$", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("diff", DIFFS, ids=lambda diff: diff.splitlines()[1].split()[0])
def test_diffs_of_contributing_are_up_to_date(diff):
    files = re.split(r"^\+\+\+ (.*)\n", diff, flags=re.MULTILINE)[1:]
    assert len(files) >= 10
    for path, lines in zip(files[::2], files[1::2], strict=True):
        assert re.sub(r"^\+", "", lines, flags=re.MULTILINE) in (ROOT / path).read_text(), path


def test_examples_are_short():
    for example in EXAMPLES:
        lines = [line for line in example.splitlines() if line and not line.startswith(("import ", "from "))]
        assert len(lines) <= 8


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_exist(page):
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    for link in links:
        assert "://" in link or (page.parent / link).exists(), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_exist(page):
    text = page.read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for inline, block in re.findall(r"`([^`\n]+)`|^ {4}(.*)$", text, re.MULTILINE):
        command = inline or block
        words = re.split(r"\bmake ", command, maxsplit=1)[1:]
        words = "".join(words).partition("#")[0].split()
        assert {word for word in words if "=" not in word and '"' not in word and not word.startswith("-")} <= {
            *targets,
            "relu",
        }, command
    for name in re.findall(r"\bpython -m fastnn ([a-z]+)", text):
        with pytest.raises(SystemExit, match=r"^0$"):
            __main__.main([name, "--help"])


def test_names_exist():
    for name in re.findall(r"\bfastnn\.([A-Za-z_.]+)", README.read_text()):
        value = fastnn
        for part in name.rstrip(".").split("."):
            value = getattr(value, part)


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def test_commands_that_install():
    """All name the checkout, as nothing is released, and extras that exist; README has the table of these."""
    files = [*PAGES, *sorted((ROOT / "src").rglob("*.py")), *sorted((ROOT / "docs").rglob("*.py"))]
    found = [(path.name, each) for path in files for each in re.findall(r"pip install ([^`\n]+)", path.read_text())]
    assert len(found) >= 4
    for name, what in found:
        extras = re.fullmatch(r'\.|"\.\[([\w,]+|\{extra\})\]".*', what)
        assert extras, f"{name}: pip install {what}"
        named = set((extras[1] or "").split(",")) - {"", "{extra}"}
        assert named <= set(EXTRAS), name
    text = "".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    in_messages = re.findall(r'v\.refuse_missing\("[^"]+", "[^"]+", "(\w+)"|install\("(\w+)"\)', text)
    assert len(in_messages) >= 5
    assert {"".join(each) for each in in_messages} <= set(EXTRAS)
    rows = re.findall(r"^\| `(\w+)` \| (.*) \| .* \|$", README.read_text().partition("## Install")[2], re.MULTILINE)
    table = dict(rows[: len(EXTRAS)])
    assert set(table) == set(EXTRAS)
    for extra, requirements in EXTRAS.items():
        for each in re.findall(r"\w[\w-]+", re.sub(r"fastnn-cpu|>=[\d.]+", "", " ".join(requirements))):
            assert each in table[extra].lower(), extra


def test_environment_variables_are_documented():
    sources = "".join(path.read_text() for path in [*ROOT.glob("src/fastnn/*.py"), *ROOT.glob("src/fastnn/*.pyx")])
    read = set(re.findall(r"\b(?:FASTNN|OMP)_[A-Z_]+\b", sources))
    documented = set(re.findall(r"^\| `((?:FASTNN|OMP)_[A-Z_]+)` \|", README.read_text(), re.MULTILINE))
    assert documented == read


def test_levels_are_those_of_the_build():
    machines = tomllib.loads((ROOT / "csrc" / "isa" / "levels.toml").read_text())
    built = {level for levels in machines.values() for level in levels}
    (row,) = re.findall(r"^\| `FASTNN_ISA` \| (.*) \|$", README.read_text(), re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", row)) == built


def test_the_readme_has_a_place_for_the_speed_table():
    assert re.search(r"^<!-- speed: begin -->$.*^<!-- speed: end -->$", README.read_text(), re.MULTILINE | re.DOTALL)


def test_list_of_experiments_is_up_to_date():
    lab_table = importlib.import_module("tools.lab_table")
    page = lab_table.PAGE.read_text()
    assert lab_table.updated(page) == page, "run python -m tools.lab_table"


def test_table_of_kernels_is_up_to_date():
    numerics_table = importlib.import_module("tools.numerics_table")
    page = numerics_table.PAGE.read_text()
    assert numerics_table.updated(page) == page, "run python -m tools.numerics_table"
    tested = {spec.function or spec.name for spec in numerics_table.SPECS}
    assert {f"`{name}`" for name in tested} <= {line.split(" | ")[0][2:] for line in page.splitlines() if " | " in line}
