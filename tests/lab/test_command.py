"""``python -m fastnn lab``: what it prints and writes, and what it refuses."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from lab import tiny  # the folder of these tests

from fastnn import __main__, lab
from fastnn.lab import _command
from fastnn.lab._experiment import Experiment
from fastnn.lab.experiments import sigmoid_tanh
from fastnn.plot import _style


@pytest.fixture(autouse=True)
def only_tiny(monkeypatch):
    """Have one experiment in the lab, of a moment."""
    monkeypatch.setattr(_command, "everything", lambda: [Experiment.of(tiny)])
    monkeypatch.setattr(_command, "experiment", lambda name: Experiment.of(tiny))


@pytest.fixture
def opposite(monkeypatch):
    monkeypatch.setattr(tiny, "CONDITIONS", {"once": 2.0, "twice": 1.0})


def failure(capsys, *arguments):
    """Run the command, which must fail, and return its message."""
    with pytest.raises(SystemExit) as end:
        __main__.main(["lab", *arguments])
    out, err = capsys.readouterr()
    assert out == "" and "Traceback" not in err
    return end.value.code, err


def test_list(capsys):
    assert __main__.main(["lab", "list"]) == 0
    text = capsys.readouterr().out
    assert re.search(
        r"^How to begin\?\n  tiny  Twice as much is more <than> one time \(post 003\)$", text, re.MULTILINE
    )


def test_without_an_action_it_lists(capsys):
    assert __main__.main(["lab"]) == 0
    assert "\n  tiny  Twice" in capsys.readouterr().out


def test_all_need_not_write(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert __main__.main(["lab", "all"]) == 0
    assert re.search(r"^tiny  shown  +0\.0 s\n\n1 of 1 experiments show what they claim; 0 s$", capsys.readouterr().out)
    assert not list(tmp_path.iterdir())


def test_run_prints_table_and_verdicts(capsys):
    assert __main__.main(["lab", "run", "tiny"]) == 0
    text = capsys.readouterr().out
    rows = [re.split(r" {2,}", line) for line in text.splitlines()[2:5]]
    assert rows == [["", "height", "count"], ["once", "2.0 ± 1.0", "7"], ["twice", "4.0 ± 2.0", "7"]]
    assert "shown: Twice is higher.\n    1.5 times 2.0 ± 1.0 (once, height) < 4.0 ± 2.0 (twice, height)" in text
    assert "shown: The count is seven.\n    7 (once, count); between 6.5 and 7.5" in text
    assert "3 runs, mean ± standard deviation" in text


def test_the_opposite_outcome_is_told(capsys, opposite, tmp_path):
    assert __main__.main(["lab", "run", "tiny"]) == 1
    assert "NOT SHOWN: Twice is higher." in capsys.readouterr().out
    assert __main__.main(["lab", "all", "--out", str(tmp_path)]) == 1
    assert "0 of 1 experiments show what they claim" in capsys.readouterr().out
    assert "0 with the outcome" in (tmp_path / "index.html").read_text()


@pytest.mark.parametrize("pictures", [True, False])
def test_pages(capsys, tmp_path, monkeypatch, pictures):
    if pictures:
        pytest.importorskip("matplotlib")
    else:
        monkeypatch.setattr(_style, "has_matplotlib", lambda: False)
    folder = tmp_path / "new" / "pages"
    assert __main__.main(["lab", "all", "--out", str(folder)]) == 0
    assert ('pip install ".[plot]"' in capsys.readouterr().out) is not pictures
    index, page = ((folder / name).read_text() for name in ("index.html", "tiny.html"))
    for text in (index, page):
        assert text.count("data:image/svg+xml;base64,") == pictures
        assert ("needs matplotlib" in text) is not pictures
        assert "Twice as much is more &lt;than&gt; one time" in text and "<than>" not in text
        assert '<td class="number">2.0 ± 1.0</td>' in text
        assert "Shown: Twice is higher." in text
        assert not re.findall(r'(?:src|href)="(?!data:|#|tiny\.html)', text)  # it needs no other file
    assert '<h3>How to begin?</h3><ul><li><a href="#tiny">' in index
    assert '<p>003: Vanishing gradients and other activations: <a href="#tiny">tiny</a></p>' in index
    headings = re.findall(r"<h2>(.*?)</h2>", page)
    assert headings == [
        "What the post says", "Where the post errs", "Formula", "What is measured", "Verdict", "What to look at",
        "What to try",
    ]  # fmt: skip
    assert '<pre class="formula">2 x &gt; x        where x &gt; 0</pre>' in page
    assert "<p>And in words: <code>2 * x</code> is larger.</p>" in page
    assert "<ul><li>the line <code>above</code>,</li><li>and the one below</li></ul>" in page
    assert "def relu(" in page and "CONDITIONS = {" in page


# ---- files of the user's ----

OWN = Path(__file__).parents[2] / "docs" / "examples" / "own_experiment.py"


@pytest.fixture
def whole_lab(monkeypatch, only_tiny):
    monkeypatch.undo()


def test_an_experiment_in_a_file(capsys, tmp_path, whole_lab):
    assert __main__.main(["lab", "run", str(OWN), "--out", str(tmp_path)]) == 0
    assert "shown: The wider net has the lower loss." in capsys.readouterr().out
    page = (tmp_path / "own-experiment.html").read_text()
    assert "A wider net learns the digits in fewer epochs" in page and "Post" not in page


def test_a_changed_copy_says_what_is_not_measured(capsys, tmp_path, whole_lab):
    copy = tmp_path / "my_copy.py"
    text = Path(sigmoid_tanh.__file__).read_text()
    copy.write_text(text.replace("RATES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)", "RATES = (0.1, 1.0)"))
    assert copy.read_text() != text
    assert __main__.main(["lab", "run", str(copy)]) == 1
    out = capsys.readouterr().out
    assert (
        "shown: At the rate 0.1 the loss" in out
        and "    not measured: condition must be one of rate 0.1, rate 1.0, rates that learn, got 'rate 0.03'\n" in out
    )


def test_files_that_are_no_experiment(capsys, tmp_path, whole_lab):
    empty = tmp_path / "empty.py"
    empty.write_text("measure = None\n")
    must = "must define measure, CLAIMS and draw, got no CLAIMS, no draw"
    assert must in failure(capsys, "run", str(empty))[1]
    assert "must be the path of a file, got" in failure(capsys, "run", str(tmp_path / "none.py"))[1]


# ---- what is refused ----


def test_names_of_other_kinds():
    with pytest.raises(TypeError, match=r"^experiment must be a string, got int"):
        lab.experiment(3)


def test_unknown_names(capsys, whole_lab):
    code, message = failure(capsys, "run", "sigmoid-tan")
    assert code == 1
    assert message == (
        "fastnn lab: experiment must be one of the lab, or the path of a .py file, got 'sigmoid-tan': "
        "did you mean 'sigmoid-tanh'?\n"
    )
    assert "`python -m fastnn lab list` shows all" in failure(capsys, "run", "qqqqqq")[1]


def test_a_folder_that_cannot_be_written(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(tiny, "measure", None)  # nothing runs before
    file = tmp_path / "file"
    file.write_text("mine")
    for folder in (file, file / "below"):
        code, message = failure(capsys, "all", "--out", str(folder))
        assert code == 1
        assert message.startswith(f"fastnn lab: --out must be a folder that can be written, got {folder} (")
    assert file.read_text() == "mine"


def test_a_page_that_is_a_folder(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(tiny, "measure", None)  # nothing runs before
    for name in ("tiny.html", "index.html"):
        folder = tmp_path / name.removesuffix(".html")
        (folder / name).mkdir(parents=True)
        message = failure(capsys, "all", "--out", str(folder))[1]
        assert message.startswith(f"fastnn lab: {folder / name} must be a file, or nothing, got a folder")


def lab_in_a_shell(command):
    """Run a shell's command with the lab in it; return its exit status and its error output."""
    text = command.replace("LAB", f"'{sys.executable}' -m fastnn lab")
    done = subprocess.run(["bash", "-o", "pipefail", "-c", text], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk():
    assert lab_in_a_shell("LAB list >/dev/full") == (
        1,
        "fastnn lab: standard output cannot be written: No space left on device\n",
    )


@pytest.mark.skipif(os.name == "nt", reason="there is no bash")
def test_a_closed_output_and_a_reader_that_has_left():
    assert lab_in_a_shell("LAB run differences >&-") == (1, "fastnn lab: standard output is closed\n")
    code, message = lab_in_a_shell("(LAB run differences; LAB list) | head -n 1")
    assert (code, message) == (1, "")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(capsys, tmp_path):
    tmp_path.chmod(0o500)
    assert "--out must be a folder that can be written" in failure(capsys, "all", "--out", str(tmp_path))[1]


def test_without_scikit_learn(capsys, monkeypatch, whole_lab):
    real_import = importlib.import_module

    def without(name, *rest):
        if name.startswith("sklearn"):
            raise ImportError(name)
        return real_import(name, *rest)

    monkeypatch.setattr(importlib, "import_module", without)
    code, message = failure(capsys, "run", "sigmoid-tanh")
    assert code == 1
    assert message.startswith("fastnn lab: this experiment needs scikit-learn, which has the data, got none: ")
    assert 'pip install ".[lab]"' in message


@pytest.mark.parametrize("arguments", [["run"], ["draw"], ["all", "tiny"]])
def test_wrong_arguments(capsys, arguments):
    assert failure(capsys, *arguments)[0] == 2


def test_a_terminal_of_few_characters():
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "fastnn", "lab", "list"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "sigmoid-tanh" in done.stdout and done.stderr == ""


@pytest.mark.parametrize("seeds", [0, -1, 1.5, "2"])
def test_numbers_of_runs(seeds):
    with pytest.raises((TypeError, ValueError), match=r"^seeds must be an integer"):
        Experiment.of(tiny).run(seeds)


def test_a_single_run_has_no_spread():
    assert re.search("^one run, ", str(Experiment.of(tiny).run(seeds=1)), re.MULTILINE)
