"""The pictures of docs/findings.md: one for each kind, small, and the same each time they are drawn."""

import pytest

from bench.lib.findings import PICTURES
from bench.run import findings
from fastnn.diagnosis import KINDS

MOST_BYTES = 40_960


def test_every_kind_has_a_picture():
    assert set(PICTURES) == set(KINDS)
    assert {path.stem for path in findings.FOLDER.glob("*.svg")} == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_are_small_and_say_nothing_of_when_they_were_drawn(kind):
    text = (findings.FOLDER / f"{kind}.svg").read_text()
    assert len(text) <= MOST_BYTES
    assert "<dc:date>" not in text


@pytest.mark.parametrize("kind", ["saturation", "validation"])
def test_equal_trainings_give_equal_pictures(kind, tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(findings, "FOLDER", tmp_path)
    texts = []
    for _ in range(2):
        findings.draw([kind])
        texts.append((tmp_path / f"{kind}.svg").read_text())
    assert texts[0] == texts[1]
