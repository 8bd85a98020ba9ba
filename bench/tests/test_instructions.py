"""Counts of instructions are compared correctly, and the kept ones are plausible."""

import json
import subprocess
import sys

import pytest

from bench.lib.instruction_cases import CASES
from bench.lib.machine import ROOT
from bench.lib.nets import NETS
from bench.lib.records import RESULTS
from bench.lib.roofline import product_flops
from bench.run import instructions
from bench.run.instructions import ISA, compared

KEPT = json.loads((RESULTS / "instructions.json").read_text())
SMALL = {"tiny", "embeddings", "sparse", "predict", "loop"}


def test_counts_are_kept():
    assert KEPT["machine"]["isa"] == ISA
    assert not KEPT["machine"]["commit"].endswith("+")
    assert set(KEPT["instructions"]) == set(CASES) >= {"tiny", "mnist", "tab", "residual", *SMALL}
    for net in NETS:
        flops = product_flops(net.program(net.native("float32")), net.batch)
        # a multiply-add of vectors does 16 flops, and the overhead is larger in a small net
        assert flops / 16 < KEPT["instructions"][net.name] < flops / (2 if net.name in SMALL else 4)


@pytest.mark.parametrize("name", CASES)
def test_growth(name):
    """A growth just below the limit passes, one just above it does not."""
    allowed = 0.01 if name in SMALL else 0.003
    for growth, expected in ((0.9 * allowed, 0), (1.1 * allowed, 1), (-0.5, 0)):
        more = {**KEPT["instructions"], name: round(KEPT["instructions"][name] * (1 + growth))}
        lines, exceeded = compared({**KEPT, "instructions": more}, KEPT)
        assert len(lines) == len(CASES)
        line = next(each for each in lines if each.startswith(f"{name}: "))
        assert f"{growth:+.2%}, at most {allowed:+.1%}" in line
        assert exceeded == [line] * expected


def test_another_compiler_is_refused():
    other = {**KEPT, "machine": {**KEPT["machine"], "compiler": "another"}}
    with pytest.raises(ValueError, match="compiler must be gcc"):
        compared(other, KEPT)


def test_another_processor_is_reported():
    """Its caches may have other sizes, on which the block sizes of products depend."""
    other = {**KEPT, "machine": {**KEPT["machine"], "processor": "another"}}
    lines, exceeded = compared(other, KEPT)
    assert (len(lines), exceeded) == (len(CASES) + 1, [])
    assert lines[-1].startswith("processor: another, kept ")


@pytest.mark.parametrize("name", CASES)
def test_cases_run(name, monkeypatch):
    """A case runs without valgrind, so that a changed name that it uses is noticed."""
    monkeypatch.setattr("fastnn.training._steps.SLICE_SECONDS", 0.05)  # cases change it; monkeypatch restores it
    case = CASES[name]
    assert case.few < case.more
    case.run(1)


@pytest.mark.parametrize("grown", [None, "tiny"])
def test_fails_if_a_count_has_grown(grown, tmp_path, monkeypatch, capsys):
    """The whole command, without valgrind."""
    of_one = {**KEPT["instructions"], **({grown: 2 * KEPT["instructions"][grown]} if grown else {})}
    counted = {name: (0, of_one[name] * case.units) for name, case in CASES.items()}
    monkeypatch.setattr(instructions, "count", lambda name, times, _: counted[name][times == CASES[name].more])
    monkeypatch.setattr(instructions.machine, "prepare", lambda: None)
    monkeypatch.setattr(instructions.machine, "describe", lambda: KEPT["machine"])
    monkeypatch.setattr(instructions.shutil, "which", lambda _: "valgrind")
    monkeypatch.setenv("FASTNN_ISA", ISA)
    kept = tmp_path / "kept.json"
    kept.write_text(json.dumps(KEPT))
    monkeypatch.setattr(sys, "argv", ["instructions.py", str(tmp_path / "new.json"), "--compare", str(kept)])
    if grown:
        with pytest.raises(SystemExit, match=r"grown by more than they may:\ntiny: "):
            instructions.main()
    else:
        instructions.main()
        assert capsys.readouterr().out.count("+0.00%") == len(CASES)
    assert json.loads((tmp_path / "new.json").read_text()) == {"machine": KEPT["machine"], "instructions": of_one}


def test_needs_valgrind(tmp_path):
    command = [sys.executable, "-m", "bench.run.instructions", str(tmp_path / "count.json")]
    environment = {"PATH": str(tmp_path)}  # without valgrind
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "needs valgrind, which is not installed" in done.stderr
