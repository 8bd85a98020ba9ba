"""The output of `python -m fastnn` and `show_config`, and the check of FASTNN_ISA."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest

import fastnn
from fastnn import __main__, _native


def run(*arguments, **environment):
    """Run Python with these arguments. Of fastnn's environment variables only the given ones are set."""
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("FASTNN_", "OMP_"))}
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        env=keep | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def report(**environment):
    """Return the output of `python -m fastnn` as a dict."""
    done = run("-m", "fastnn", **environment)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return dict(line.split(maxsplit=1) for line in done.stdout.splitlines())


@pytest.mark.parametrize(("level", "supported"), _native.levels().items())
def test_isa_is_chosen_or_refused(level, supported):
    code = "import numpy, fastnn; from fastnn import _native; print(_native.isa(), fastnn.kernels.relu([-1.0, 2.0]))"
    done = run("-c", code, FASTNN_ISA=level)
    if supported:
        assert done.stdout == f"{level} [0. 2.]\n"
    else:
        assert re.search(rf"FASTNN_ISA must be one of .*, got '{level}', which this processor cannot run", done.stderr)


@pytest.mark.parametrize("unknown", ["sse9", "AVX2", "avx2 ", "native", "é"])
def test_unknown_isa_is_an_error_each_time(unknown):
    code = """
import fastnn
for attempt in range(2):
    try:
        fastnn.kernels.relu([1.0])
    except ValueError as error:
        print(ascii(str(error)))
"""
    usable = ", ".join(level for level, supported in _native.levels().items() if supported)
    expected = ascii(f"FASTNN_ISA must be one of {usable}, got {unknown!r}, which is no level of this build")
    assert run("-c", code, FASTNN_ISA=unknown).stdout.splitlines() == [expected, expected]


def test_isa_is_not_needed_by_the_reference():
    code = "import fastnn; print(fastnn.kernels.relu([-1.0, 2.0]))"
    assert run("-c", code, FASTNN_ISA="sse9", FASTNN_BACKEND="reference").stdout == "[0. 2.]\n"


def test_default_isa_is_the_best_supported():
    best = [level for level, supported in _native.levels().items() if supported][-1]
    assert report()["isa"].split()[0] == best
    assert report(FASTNN_ISA="")["isa"].split()[0] == best


def test_command_line_prints_show_config():
    printed, config = report(OMP_NUM_THREADS="1"), fastnn.show_config(mode="dicts")
    assert list(printed) == list(config)
    for key in ("fastnn", "compiler", "python", "numpy", "platform"):
        assert printed[key] == config[key]
    for levels in (config["isa"]["built"], config["isa"]["supported"]):
        assert ", ".join(levels) in printed["isa"]
    assert printed["threads"] == "1"
    assert printed["environment"] == "OMP_NUM_THREADS=1"


def test_command_line_prints_the_settings_of_the_environment():
    printed = report(FASTNN_ISA="baseline" if "baseline" in _native.levels() else "neon", FASTNN_BACKEND="reference")
    assert printed["backend"] == "reference"
    assert printed["isa"].split()[0] in ("baseline", "neon")
    assert report(FASTNN_NUM_THREADS="1")["threads"] == "1"


@pytest.mark.parametrize(
    ("variable", "value"), [("FASTNN_ISA", "sse9"), ("FASTNN_BACKEND", "cuda"), ("FASTNN_NUM_THREADS", "many")]
)
@pytest.mark.parametrize("command", [[], ["demo"]])
def test_command_line_refuses_a_wrong_environment_in_one_line(variable, value, command):
    done = run("-m", "fastnn", *command, **{variable: value})
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"fastnn: {variable} must be ")
    assert repr(value) in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_show_config_has_the_settings_of_the_context(capsys):
    with fastnn.backend("reference"), fastnn.num_threads(1):
        config = fastnn.show_config(mode="dicts")
        assert fastnn.show_config() is None
    assert (config["backend"], config["threads"]) == ("reference", 1)
    assert config["fastnn"] == fastnn.__version__
    assert config["numpy"] == np.__version__
    assert config["isa"]["chosen"] == _native.isa()
    assert config["isa"]["built"] == list(_native.levels())
    printed = capsys.readouterr().out
    assert "reference" in printed
    assert config["compiler"] in printed
    with pytest.raises(ValueError, match=r"^mode must be one of stdout, dicts, got 'json'"):
        fastnn.show_config(mode="json")


def test_version(capsys):
    with pytest.raises(SystemExit) as end:
        __main__.main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"fastnn {fastnn.__version__}\n"


def test_report_does_not_import_optional_packages():
    code = "import sys; from fastnn import __main__; __main__.main([]); print(*sys.modules)"
    modules = run("-c", code).stdout.splitlines()[-1].split()
    assert "fastnn.demo" in modules
    assert not {"sklearn", "matplotlib", "tqdm"}.intersection(modules)
