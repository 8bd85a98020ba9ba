"""Counts of instructions are compared as they should be, and some are kept to compare with."""

import json
import subprocess
import sys

import instructions
import pytest
from cases import NETS
from instructions import CASES, ISA, compared
from machine import ROOT

KEPT = json.loads((ROOT / "bench" / "results" / "instructions.json").read_text())
SMALL = {"tiny", "predict", "loop"}


def test_counts_are_kept():
    assert KEPT["machine"]["isa"] == ISA
    assert not KEPT["machine"]["commit"].endswith("+")
    assert set(KEPT["instructions"]) == set(CASES) >= {"tiny", "mnist", "tab", *SMALL}
    for net in NETS:
        products = [a * b for a, b in zip(net.sizes, net.sizes[1:], strict=False)]
        flops = net.batch * (6 * sum(products) - 2 * products[0])  # the input has no gradient
        # 16 flops in a multiply-add of vectors, and some overhead: more in a small net
        assert flops / 16 < KEPT["instructions"][net.name] < flops / (2 if net.name in SMALL else 4)


@pytest.mark.parametrize("name", CASES)
def test_growth(name):
    """Each case may grow as far as it may, and no further."""
    allowed = 0.01 if name in SMALL else 0.003
    for growth, expected in ((0.9 * allowed, 0), (1.1 * allowed, 1), (-0.5, 0)):
        more = {**KEPT["instructions"], name: round(KEPT["instructions"][name] * (1 + growth))}
        told, wrong = compared({**KEPT, "instructions": more}, KEPT)
        assert len(told) == len(CASES)
        line = next(each for each in told if each.startswith(f"{name}: "))
        assert f"{growth:+.2%}, at most {allowed:+.1%}" in line
        assert wrong == [line] * expected


def test_others_are_not_compared():
    other = {**KEPT, "machine": {**KEPT["machine"], "compiler": "another"}}
    with pytest.raises(ValueError, match="compiler must be gcc"):
        compared(other, KEPT)


def test_another_processor_is_told():
    """Its caches may have other sizes, which choose how products are cut."""
    other = {**KEPT, "machine": {**KEPT["machine"], "processor": "another"}}
    told, wrong = compared(other, KEPT)
    assert (len(told), wrong) == (len(CASES) + 1, [])
    assert told[-1].startswith("processor: another, kept ")


@pytest.mark.parametrize("name", CASES)
def test_cases_run(name, monkeypatch):
    """A change of names that a case uses shows here, without valgrind."""
    monkeypatch.setattr("fastnn.training.trainer.SLICE_SECONDS", 0.05)  # which it changes, brought back afterwards
    case = CASES[name]
    assert case.few < case.more
    case.run(1)


@pytest.mark.parametrize("wrong", [None, "tiny"])
def test_ends_with_an_error_where_a_count_has_grown(wrong, tmp_path, monkeypatch, capsys):
    """The whole command, but for valgrind."""
    of_one = {**KEPT["instructions"], **({wrong: 2 * KEPT["instructions"][wrong]} if wrong else {})}
    counted = {name: (0, of_one[name] * case.times) for name, case in CASES.items()}
    monkeypatch.setattr(instructions, "count", lambda name, times, _: counted[name][times == CASES[name].more])
    monkeypatch.setattr(instructions.machine, "prepare", lambda: None)
    monkeypatch.setattr(instructions.machine, "describe", lambda: KEPT["machine"])
    monkeypatch.setattr(instructions.shutil, "which", lambda _: "valgrind")
    monkeypatch.setenv("FASTNN_ISA", ISA)
    kept = tmp_path / "kept.json"
    kept.write_text(json.dumps(KEPT))
    monkeypatch.setattr(sys, "argv", ["instructions.py", str(tmp_path / "new.json"), "--compare", str(kept)])
    if wrong:
        with pytest.raises(SystemExit, match=r"grown by more than they may:\ntiny: "):
            instructions.main()
    else:
        instructions.main()
        assert capsys.readouterr().out.count("+0.00%") == len(CASES)
    assert json.loads((tmp_path / "new.json").read_text()) == {"machine": KEPT["machine"], "instructions": of_one}


def test_needs_valgrind(tmp_path):
    command = [sys.executable, str(ROOT / "bench" / "instructions.py"), str(tmp_path / "count.json")]
    done = subprocess.run(command, env={"PATH": str(tmp_path)}, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "no valgrind here" in done.stderr
