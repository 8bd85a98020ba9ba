"""README's and docs' generated parts and pictures are what the kept measurements give."""

import json

import figures
import pages
import pytest
from machine import ROOT
from pages import PAGES, PARTS, filled, part
from records import RESULTS


@pytest.mark.parametrize("page", PAGES)
def test_pages_are_up_to_date(page):
    text = (ROOT / page).read_text()
    assert filled(text) == text, "write it anew: make docs-figures"


def test_every_part_is_on_a_page():
    marked = {match["name"] for page in PAGES for match in pages.MARKED.finditer((ROOT / page).read_text())}
    assert marked == set(PARTS)


@pytest.mark.parametrize("name", figures.FIGURES)
def test_pictures_are_up_to_date(name):
    needed, _ = figures.FIGURES[name]
    if all((RESULTS / f"{each}.json").exists() for each in needed):
        assert figures.hash_of(needed) in (figures.FOLDER / f"{name}.svg").read_text(), (
            "draw it anew: make docs-figures"
        )


def test_a_changed_measurement_shows(tmp_path, monkeypatch):
    for path in RESULTS.glob("*.json"):
        (tmp_path / path.name).write_text(path.read_text())
    monkeypatch.setattr(pages, "RESULTS", tmp_path)
    before = part("instructions")
    kept = json.loads((tmp_path / "instructions.json").read_text())
    (tmp_path / "instructions.json").write_text(json.dumps({**kept, "instructions": 2 * kept["instructions"]}))
    assert part("instructions") != before
    (tmp_path / "instructions.json").unlink()
    assert part("instructions") == ""
    page = "a\n<!-- instructions: begin -->\nold\n<!-- instructions: end -->\nb\n"
    assert filled(page) == "a\n<!-- instructions: begin -->\n<!-- instructions: end -->\nb\n"
