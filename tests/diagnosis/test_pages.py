"""The pages about findings: every kind has its picture, cause and cure, and what the pages show is what there is."""

import importlib
import inspect
import re
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn import nn, optim
from fastnn.diagnosis import KINDS

DOCS = Path(__file__).resolve().parents[2] / "docs"
if not DOCS.is_dir():
    pytest.skip("these tests need the checkout", allow_module_level=True)

FINDINGS = (DOCS / "findings.md").read_text()
SYMPTOMS = (DOCS / "my-net-does-not-learn.md").read_text()
SECTIONS = dict(re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", FINDINGS, re.MULTILINE | re.DOTALL))


def test_every_kind_has_a_section_in_the_order_of_the_table():
    assert list(SECTIONS) == list(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_sections_have_a_picture_a_cause_and_a_cure(kind):
    text = SECTIONS[kind]
    (caption, picture) = re.search(r"^!\[(.+)\]\((.+)\)$", text, re.MULTILINE).groups()
    assert picture == f"figures/findings/{kind}.svg" and (DOCS / picture).is_file()
    assert len(caption) > 30
    parts = re.findall(r"^\*\*(.+?)\.\*\* .{20}", text, re.MULTILINE)
    assert parts == ["What it looks like", "Cause", "Cure"]
    assert "```python\n" in text.partition("**Cure.**")[2]


@pytest.mark.parametrize("kind", KINDS)
def test_cures_run(kind):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(70, 2)), np.arange(70) % 2
    outputs, loss = (1, "mean_squared_error") if kind == "target-scale" else (2, "cross_entropy")
    net = nn.Sequential(nn.Dense(2, 16), nn.ReLU(), nn.Dense(16, outputs), seed=0)
    names = {"np": np, "fastnn": fastnn, "nn": nn, "optim": optim, "X": X, "y": y, "X_val": X[:20], "y_val": y[:20]}
    names |= {"net": net, "trainer": fastnn.Trainer(net, loss)}
    cure = re.search(r"```python\n(.*?)```", SECTIONS[kind], re.DOTALL)[1]
    exec(compile(cure, kind, "exec"), names)  # noqa: S102


@pytest.mark.parametrize("kind", KINDS)
def test_the_check_is_where_the_section_says(kind):
    """A section names modules that find the kind; after those of checks, the functions."""
    named = re.findall(
        r"`(_\w+)\.py`\]\(\.\./src/fastnn/diagnosis/\1\.py\)((?:,\s+`\w+`)*)",
        SECTIONS[kind].partition("How it is found:")[2],
    )
    assert named and len(named) == SECTIONS[kind].count("/src/fastnn/diagnosis/")
    for name, functions in named:
        module = importlib.import_module(f"fastnn.diagnosis.{name}")
        checks = [getattr(module, each) for each in re.findall(r"`(\w+)`", functions)]
        assert checks or not name.endswith("_checks"), "it names no check"
        for each in checks or [module]:
            assert f'"{kind}"' in inspect.getsource(each), each


def test_symptoms_name_all_kinds_and_only_these():
    table = SYMPTOMS.partition("## By symptom")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (.+) \| (\[.+) \|$", table, re.MULTILINE)
    assert len(rows) > 12
    linked = re.findall(r"\[([a-z-]+)\]\(findings\.md#([a-z-]+)\)", table)
    assert all(text == anchor for text, anchor in linked)
    assert {anchor for _, anchor in linked} == set(KINDS)


@pytest.mark.parametrize("page", [FINDINGS, SYMPTOMS], ids=["findings", "symptoms"])
def test_links_within_the_pages_lead_somewhere(page):
    headings = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    assert set(re.findall(r"\]\(#([^)]+)\)", page)) <= {each.lower().replace(" ", "-") for each in headings}


def without_numbers(text):
    """Return a report without its numbers, which may differ a little between processors."""
    return re.sub(r"\d[\d.]*(e[+-]\d+)?", "", re.sub(r", \d seeds", "", text))


def test_the_page_shows_what_is_printed():
    code = re.search(r"```pycon\n(.*?)```", SYMPTOMS, re.DOTALL)[1]
    names = {}
    exec("\n".join(re.findall(r"^>>> (.*)$", code, re.MULTILINE)), names)  # noqa: S102
    shown = re.search(r"```text\n(.*?)\n\.\.\.\n```", SYMPTOMS, re.DOTALL)[1]
    assert without_numbers(str(names["report"])).startswith(without_numbers(shown))
