"""The generated parts and pictures of README and docs show the kept measurements."""

import json

import pytest

from bench.lib import figures
from bench.lib.machine import ROOT
from bench.lib.records import RESULTS
from bench.lib.tables.estimators import FAMILIES
from bench.run import pages
from bench.run.pages import PAGES, PARTS, filled, part


@pytest.mark.parametrize("page", PAGES)
def test_pages_are_up_to_date(page):
    text = (ROOT / page).read_text()
    assert filled(text) == text, "its parts are out of date: run make docs-figures"


def test_every_part_is_on_a_page():
    marked = {match["name"] for page in PAGES for match in pages.MARKED.finditer((ROOT / page).read_text())}
    assert marked == set(PARTS)


@pytest.mark.parametrize("name", figures.FIGURES)
def test_pictures_are_up_to_date(name):
    needed, _ = figures.FIGURES[name]
    if all((RESULTS / f"{each}.json").exists() for each in needed):
        assert figures.hash_of(needed) in (figures.FOLDER / f"{name}.svg").read_text(), (
            "it is out of date: run make docs-figures"
        )


MACHINE = {
    "processor": "Some",
    "isa": "avx2",
    "threads": 1,
    "fastnn": "0",
    "compiler": "cc 1",
    "python": "3",
    "numpy": "2",
    "blas": "none",
    "commit": "abc",
    "date": "2000-01-01",
    "libraries": {"torch": "not installed", "scikit-learn": "1.9"},
}


def an_op(name, **more):
    return {"op": name, "section": "forward", "seconds": 1e-6, "quartiles": [1e-6] * 3, "floor": 5e-7, **more}


def a_net(dtype):
    parts = dict.fromkeys(("products", "arithmetic", "traffic", "total"), 1e-6)
    return {
        "name": "tiny 2-2",
        "batch": 8,
        "dtype": dtype,
        "rounds": 5,
        "seconds": 2e-6,
        "quartiles": [2e-6] * 3,
        "roofline": {**parts, "level": "L2", "parameters": 6, "held": 72},
        "ops": [an_op("dense 2 to 2", flops=64, bytes=160), an_op("cross entropy 2")],
    }


def a_point(series, at, dtype, rounded=False):
    sizes = {"sizes": [at, at], "batch": 128, "passes": [[1.0, 1.0, 1.0]], "seconds": 1.5, "roofline": 1.0}
    return {"series": series, "at": at, "dtype": dtype, "rounded": rounded, **sizes}


def a_case(family, name):
    return {
        "family": family,
        "name": name,
        "shape": "8 rows",
        "dtype": "float32",
        "rounds": 9,
        "seconds": {"native": 1e-3},
        "ratios": {"scikit-learn" if family in FAMILIES else "numpy": [1.0, 2.0, 3.0]},
    }


DTYPES = ("float32", "float64")
SOME = {
    "limits": {
        "caches": {"L1": {"bytes": 1 << 15, "source": "sysfs"}},
        "limits": [
            {"isa": "avx2", "dtype": dtype, "name": name, "unit": "GB/s", "best": 9.0, "quartiles": [7.0, 8.0, 9.0]}
            for dtype in DTYPES
            for name in ("multiply_add", "load L1", "load L2", "load L3", "load memory")
        ],
    },
    "ops": {"nets": [a_net(dtype) for dtype in DTYPES]},
    "sweep": {
        "points": [
            a_point(name, at, dtype) for name in ("width", "batch", "depth") for at in (8, 16) for dtype in DTYPES
        ]
        + [a_point("odd", 1, dtype, rounded) for dtype in DTYPES for rounded in (False, True)]
    },
    "calls": {
        "missing": {},
        "chosen": {},
        "cases": [
            {**a_case("predict", "some net"), "seconds": {"native": 4e-6, "arithmetic": 1e-6}},
            {**a_case("step", "some net"), "seconds": {"native": 1e-5, "numpy": 2e-5}},
            a_case("kernel", "some kernel"),
        ],
        "tails": [{"name": "some net", "calls": 9, "seconds": {"predict": {"p50": 1e-6, "max": 2e-6}}}],
    },
    "calls-batches": {"cases": [{**a_case("batch", "some net"), "seconds": {"native": 1e-5, "numpy": 2e-5}}]},
    "calls-batches-before": {"cases": [a_case("batch", "some net")]},
    "sklearn": {
        "cases": [a_case(family, f"some {family}") for family in FAMILIES],
    },
    "peers": {
        "missing": {"JAX": "not installed"},
        "cases": [a_case(family, f"some {family}") for family in ("step", "epoch", "kernel")],
    },
}


@pytest.fixture
def some(tmp_path, monkeypatch):
    """Some measurements of each kind, and a folder for pictures."""
    for name, results in SOME.items():
        (tmp_path / f"{name}.json").write_text(json.dumps({"machine": MACHINE, **results}))
    for module in (pages, figures):
        monkeypatch.setattr(module, "RESULTS", tmp_path)
    monkeypatch.setattr(figures, "FOLDER", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("limits", "| load L1 | GB/s | 9 (7 to 9) | 9 (7 to 9) |"),
        ("steps", "| tiny 2-2 | 8 | float64 | avx2 | 1 | 1 | 1 (L2) | 1 | 2 | 50% |"),
        ("profile", "| forward | dense 2 to 2 | 1 | 50.0% | 50% |"),
        ("sweep", "| width | float32 | 1.50 at 8 | 1.50 at 16 | 1.50 at 8 | 1.50 at 8 |"),
        ("sklearn", "| fit, an epoch | some fit | 8 rows | float32 | 1000 µs | 2 (1 to 3) |"),
        ("calls", "| `net.predict` | some net | 8 rows | 4 | 1 | 2 (1 to 3) |"),
        ("calls-steps", "| some net | NumPy by hand | 20 | 2 (1 to 3) |"),
        ("calls-tails", "| some net | fastnn, `net.predict` | 1 | 2 |"),
        ("calls-batches", "| some net | numpy | 20 | 2 (1 to 3) | - |"),
        ("calls-kernels", "| some kernel | 8 rows | 1000 | 2 (1 to 3) |"),
        ("peers", "| some epoch | 8 rows | avx2 | 1 | 2 (1 to 3) |"),
        ("peers-kernels", "| some kernel | 8 rows | avx2 | 1000 | 2 (1 to 3) |"),
    ],
)
def test_parts(name, line, some):
    assert line in part(name).splitlines()


def test_pictures_are_drawn(some):
    pytest.importorskip("matplotlib")
    figures.draw()
    for name, (needed, _) in figures.FIGURES.items():
        drawn = (some / f"{name}.svg").read_text()
        assert figures.hash_of(needed) in drawn
        figures.draw()
        assert (some / f"{name}.svg").read_text() == drawn


def test_a_changed_measurement_changes_its_part(tmp_path, monkeypatch):
    for path in RESULTS.glob("*.json"):
        (tmp_path / path.name).write_text(path.read_text())
    monkeypatch.setattr(pages, "RESULTS", tmp_path)
    before = part("instructions")
    kept = json.loads((tmp_path / "instructions.json").read_text())
    (tmp_path / "instructions.json").write_text(
        json.dumps({**kept, "instructions": {name: 2 * n for name, n in kept["instructions"].items()}})
    )
    assert part("instructions") != before
    (tmp_path / "instructions.json").unlink()
    assert part("instructions") == ""
    page = "a\n<!-- instructions: begin -->\nold\n<!-- instructions: end -->\nb\n"
    assert filled(page) == "a\n<!-- instructions: begin -->\n<!-- instructions: end -->\nb\n"
