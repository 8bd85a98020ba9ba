"""Counts of instructions are compared as they should be, and one is kept to compare with."""

import json
import subprocess
import sys

import pytest
from instructions import GROWTH, ISA, STEPS, compared
from machine import ROOT

KEPT = ROOT / "bench" / "results" / "instructions.json"


def test_a_count_is_kept():
    kept = json.loads(KEPT.read_text())
    assert (kept["machine"]["isa"], kept["steps"]) == (ISA, STEPS)
    assert not kept["machine"]["commit"].endswith("+")
    flops = 100 * 128 * (4 * (784 * 256) + 6 * (256 * 128 + 128 * 10))
    assert flops / 16 < kept["instructions"] < flops / 4  # 16 flops in a multiply-add of vectors, and some overhead


def test_growth():
    kept = json.loads(KEPT.read_text())
    growth, told = compared({**kept, "instructions": round(kept["instructions"] * (1 + 2 * GROWTH))}, kept)
    assert growth == pytest.approx(2 * GROWTH, rel=1e-3)
    assert "+4.00%" in told
    other = {**kept, "machine": {**kept["machine"], "compiler": "another"}}
    with pytest.raises(ValueError, match="compiler: expected gcc"):
        compared(other, kept)


def test_needs_valgrind(tmp_path):
    command = [sys.executable, str(ROOT / "bench" / "instructions.py"), str(tmp_path / "count.json")]
    done = subprocess.run(command, env={"PATH": str(tmp_path)}, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "no valgrind here" in done.stderr
