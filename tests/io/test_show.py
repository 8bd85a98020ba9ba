"""``python -m fastnn show MODEL``: what it prints, and what it refuses."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn import __main__, data, nn
from fastnn.io import _show
from fastnn.io._content import ContentWriter
from fastnn.io._nets import pack_net
from fastnn.io._tensors import TensorFile
from tests import model_files
from tests.nets import NETS, net_of
from tests.registered import register


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def shown(path, capsys):
    """Return what the command prints of a file."""
    assert __main__.main(["show", str(path)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def refused(path, capsys):
    """Return what the command prints as its error."""
    with pytest.raises(SystemExit) as stopped:
        __main__.main(["show", str(path)])
    out, err = capsys.readouterr()
    assert stopped.value.code == 1 and out == "" and err.startswith("fastnn show: ") and err.count("\n") == 1
    return err.removeprefix("fastnn show: ")


def fields(text):
    """Return the labels of the head, and what they say."""
    lines = text.partition("\n\n")[0].splitlines()
    return {line[:16].strip(): line[16:] for line in lines}


# ---- files of fastnn ----


def full_net():
    net = nn.Sequential(
        nn.Dense(3, 4), nn.BatchNorm(4), "relu", nn.Residual(nn.Dense(4, 4), "tanh"), nn.Dense(4, 2), seed=7
    )
    net.scaler, net.output_scaler = data.Scaler([0.0, 1.0, 7 / 3], 0.5), data.Scaler(1.0, 2.0)
    net.freeze("0.*", "3.0.bias")
    net.training_steps = 12
    return net


def test_a_net(path, capsys):
    net = full_net()
    net.save(path)
    text = shown(path, capsys)
    size = path.stat().st_size
    tensors = sum(each.nbytes for each in model_files.read(path)[1].values())
    assert fields(text) == {
        "path": str(path),
        "size": f"{size:,} bytes, of which {tensors} are tensors",
        "kind": "net, format 1",
        "written by": f"fastnn {fastnn.__version__}",
        "checksum": "ok",
        "dtype": "float32",
        "seed": "7",
        "training steps": "12",
        "scaler": "Scaler(center=[0.    , 1.    , 2.3333], scale=0.5)",
        "output scaler": "Scaler(center=1., scale=2.)",
        "frozen": "0.weight, 0.bias, 3.0.bias",
    }
    assert text.partition("\n\n")[2] == f"{net.summary()}\n"


def test_scalers_with_many_numbers(path, capsys):
    net = nn.Sequential(nn.Dense(50, 2), seed=0)
    net.scaler = data.QuantileScaler(np.linspace(0, np.ones(50), 100), fill=np.ones(50))
    net.save(path)
    assert (
        fields(shown(path, capsys))["scaler"]
        == "QuantileScaler(quantiles=100 of 50 columns, fill=[1., 1., 1., ..., 1., 1., 1.])"
    )


@pytest.mark.parametrize("name", NETS)
def test_the_table_is_that_of_the_net(name, path, capsys):
    net = net_of(name)
    net.save(path)
    assert shown(path, capsys).endswith(f"\n\n{net.summary()}\n")


def test_a_net_without_a_width(path, capsys):
    nn.Sequential("relu", nn.Dropout(0.5)).save(path)
    assert re.search(r"^0  ReLU\(\) +\? +0$", shown(path, capsys), re.MULTILINE)


def test_activations_that_are_not_registered(path, capsys, monkeypatch):
    called = []

    def make(**parameters):
        called.append(parameters)
        return nn.PReLU(4)

    with monkeypatch.context() as context:
        register(context, slopes=make)
        layer = nn.activation("slopes", table=np.zeros((9, 9)), inner=nn.LeakyReLU(0.5), limit=np.inf)
        net = nn.Sequential(
            nn.Dense(3, 4, max_norm=2.0), layer,
            nn.Parallel(nn.Residual(nn.Dense(4, 4), "slopes"), nn.Sequential("relu")),
            nn.PiecewiseLinear([[0, 1]] * 8), nn.Columns([0, 2], nn.GELU("tanh")), seed=0,
        )  # fmt: skip
        net.save(path)
    text, count = shown(path, capsys), len(called)
    assert fields(text)["activations"] == "'slopes': to be registered before loading"
    rows = [re.split("  +", line) for line in text.partition("\n\n")[2].splitlines()]
    assert rows == [
        ["", "layer", "numbers"],
        ["0", "Dense(3, 4, max_norm=2.0)", "16"],
        [
            "1",
            "activation('slopes', table=..., inner=LeakyReLU(negative_slope=0.5), limit=float('inf'))",
            "4",
        ],
        ["2", "Parallel(Residual(Dense(4, 4), activation('slopes')), Sequential(ReLU()))", "24"],
        ["3", rows[4][1], "0"],
        ["4", "Columns((0, 2), GELU(approximate='tanh'))", "0"],
    ]
    assert rows[4][1].startswith("PiecewiseLinear(((0.0, 1.0), (0.0, 1.0),")
    register(monkeypatch, slopes=make)
    assert shown(path, capsys) == text and len(called) == count  # nothing of the user's is called


def test_an_ensemble(path, capsys):
    nets = [nn.Sequential(nn.Dense(3, 4), "relu", nn.Dense(4, 2), seed=seed) for seed in (0, 1)]
    nets += [nn.Sequential(nn.Dense(3, 2), dtype="float64", seed=2)]
    fastnn.Ensemble(nets, "softmax").save(path)
    head, *members = shown(path, capsys).split("\nmembers[")
    assert fields(head)["kind"] == "ensemble, format 1"
    assert (fields(head)["output"], fields(head)["members"]) == ("softmax", "3")
    assert [each.partition("]")[0] for each in members] == ["0", "1", "2"]
    assert all(f"seed            {index}\n" in each for index, each in enumerate(members))
    assert str(nets[0].summary()) in members[0] and "layers          as those of members[0]" in members[1]
    assert str(nets[2].summary()) in members[2] and "float64" in members[2]


@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_estimators(kind, path, capsys):
    """A class of scikit-learn's is not needed to show an estimator: its parameters, and its net if it is fitted."""
    pairs = {"kind": "pairs", "items": [["a", 1.0], [0, {"kind": "tuple", "items": [2]}]]}
    parameters = {
        "hidden_layer_sizes": {"kind": "tuple", "items": [4, 3]}, "batch_size": "auto", "alpha": None,
        "activation": {"kind": "nn.LeakyReLU", "negative_slope": 0.5}, "class_weight": pairs,
        "dtype": {"kind": "dtype", "name": "float32"}, "random_state": {"kind": "random_state", "key": 3},
    }  # fmt: skip
    content, net = ContentWriter("write no functions"), full_net()
    content.write(path, kind, {"parameters": parameters, "net": pack_net(net, content), "fitted": {}})
    text = shown(path, capsys)
    assert text.endswith(f"\n\n{net.summary()}\n") and f"kind            {kind}, format 1\n" in text
    rows = [
        "hidden layer sizes  (4, 3)", "batch size      'auto'", "activation      LeakyReLU(negative_slope=0.5)",
        "class weight    {'a': 1.0, 0: (2,)}", "dtype           float32", "random state    RandomState(...)", "",
    ]  # fmt: skip
    assert text.splitlines()[5:12] == rows
    content.tensors.clear()
    content.write(path, kind, {"parameters": parameters, "net": None, "fitted": None})
    assert shown(path, capsys).splitlines()[5:] == [*rows[:-1], "fit             not fitted"]
    content.write(path, kind, {"parameters": parameters, "net": 3, "fitted": None})
    assert "net must be an object" in refused(path, capsys)


def test_a_checkpoint_says_where_it_is(path, capsys):
    folder = path.parent / "run"
    trainer = fastnn.Trainer(nn.Sequential(nn.Dense(2, 2), seed=0))
    trainer.fit(np.eye(2), [0, 1], epochs=2, callbacks=[fastnn.Checkpoint(folder, keep=99)], verbose=0)
    found = [fields(shown(each, capsys))["position"] for each in sorted(folder.glob("checkpoint-*"))]
    assert found == ["before epoch 1 of 2", "epoch 1 of 2 ended", "epoch 2 of 2 ended"]
    sample = Path(__file__).parents[1] / "data" / "files" / "checkpoint.safetensors"
    assert fields(shown(sample, capsys))["position"] == "epoch 2 of 3, after batch 1"


def test_the_output_in_the_docs(tmp_path, capsys, monkeypatch):
    page = Path(__file__).resolve().parents[2] / "docs" / "save.md"
    if not page.is_file():
        pytest.skip("this test needs the checkout")
    session, output = re.search(r"```pycon\n(.*?)```.*```text\n(.*?)```", page.read_text(), re.DOTALL).groups()
    lines = [line.removeprefix(">>> ") for line in session.partition(">>> path = ")[0].splitlines()]
    names = {}
    exec("\n".join(lines), names)  # noqa: S102
    monkeypatch.chdir(tmp_path)
    names["net"].save("net.safetensors")
    assert shown("net.safetensors", capsys) == output


# ---- files of others ----


def test_a_file_of_another_program(path, capsys):
    tensors = {"w": np.zeros((3, 2), "f4"), "layer.0.bias": np.zeros(2), "flags": np.zeros(4, bool), "n": np.int64(3)}
    model_files.write(path, {"format": "pt", "author": "somebody"}, tensors)
    head, table = shown(path, capsys).split("\n\n")
    assert head.splitlines()[2:] == [
        "kind            safetensors, not written by fastnn", "metadata        author", "metadata        format",
    ]  # fmt: skip
    assert [re.split("  +", line) for line in table.splitlines()] == [
        ["tensor", "dtype", "shape"],
        ["flags", "bool", "(4,)"],
        ["layer.0.bias", "float64", "(2,)"],
        ["n", "int64", "()"],
        ["w", "float32", "(3, 2)"],
    ]


def test_dtypes_that_numpy_has_not(path, capsys):
    header = {
        "a": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [0, 8]},
        "b": {"dtype": "F8_E4M3", "shape": [3], "data_offsets": [8, 11]},
    }
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(11))
    rows = [re.split("  +", line) for line in shown(path, capsys).partition("\n\n")[2].splitlines()]
    assert rows[1:] == [["a", "BF16", "(2, 2)"], ["b", "F8_E4M3", "(3,)"]]
    with TensorFile(path) as file, pytest.raises(ValueError, match=r"the tensor 'a' of one .*, got BF16: convert it"):
        file.read("a")


EVIL = "\x1b]0;owned\x07\x1b[2J\r\n\u202e\x9b31m\u2028" + "x" * 500


def test_names_of_a_file_do_not_reach_the_terminal_as_commands(path, capsys):
    model_files.write(path, {EVIL: EVIL}, {EVIL: np.zeros(1), "ordinary é": np.zeros(1)})
    text = shown(path, capsys)
    assert all(each.isprintable() or each == "\n" for each in text)
    assert r"\x1b]0;owned\x07\x1b[2J\r\n\u202e\x9b31m\u2028xxx" in text and "ordinary é" in text
    assert text.count("\n") == 8 and max(map(len, text.splitlines())) < 400


@pytest.mark.parametrize("key", ["dtype", "seed", "training_steps", "frozen", "output"])
def test_values_of_a_file_do_not_either(key, path, capsys):
    nets = [nn.Sequential(nn.Dense(2, 2), seed=0)]
    fastnn.Ensemble(nets).save(path)

    def change(content, tensors, metadata):
        part = content["members"][0]
        values = part["config"] if key in part["config"] else content if key == "output" else part
        values[key] = [EVIL] if key == "frozen" else EVIL
        metadata["fastnn.version"] = EVIL

    model_files.change(path, change)
    text = shown(path, capsys)
    assert "owned" in text and all(each.isprintable() or each == "\n" for each in text)


def test_errors_do_not_either(path, capsys):
    fastnn.Ensemble([nn.Sequential(nn.Dense(2, 2), seed=0)]).save(path)
    model_files.change(path, lambda content, *_: content["members"][0]["config"]["layers"][0].update({"kind": EVIL}))
    assert refused(path, capsys)[:-1].isprintable()
    assert refused(path.with_name("no\x1b[2J"), capsys)[:-1].isprintable()


# ---- what is refused ----


def test_what_cannot_be_shown(path, capsys, tmp_path):
    assert re.fullmatch(rf"\[Errno 2\] No such file or directory: '{re.escape(str(path))}'\n", refused(path, capsys))
    assert refused(tmp_path, capsys) == f"{tmp_path} must be a file, got a folder\n"
    for content, kind in [
        (b"", "an empty file"),
        (b"PK\x03\x04" + b"0" * 50, "a zip archive"),
        (b"\x80\x04" * 20, "a pickle"),
    ]:
        path.write_bytes(content)
        assert f"must be a safetensors file, got {kind}" in refused(path, capsys)
    assert "path must be the path of a file" in refused("nul\0", capsys)


def test_a_damaged_file(path, capsys):
    full_net().save(path)
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    assert "must have the SHA-256 that it was written with" in refused(path, capsys)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.update(members=3),
        lambda c: c["members"].append(3),
        lambda c: c["members"][0].update(config=3),
        lambda c: c["members"][0].pop("frozen"),
        lambda c: c["members"][0].update(frozen=3),
        lambda c: c["members"][0].update(scaler={"kind": "tensor", "name": "fastnn.none"}),
        lambda c: c["members"][0]["config"].update(layers=3),
        lambda c: c["members"][0]["config"].update(layers=[3]),
        lambda c: c["members"][0]["config"].update(layers=[{"kind": "nn.Dense"}]),
        lambda c: c["members"][0]["config"]["layers"][0].update(in_features=-1),
        lambda c: c["members"][0]["config"]["layers"].append(
            c["members"][0]["config"]["layers"][0] | {"in_features": 9}
        ),
    ],
)
def test_a_file_with_wrong_content(change, path, capsys):
    fastnn.Ensemble([nn.Sequential(nn.Dense(2, 2), seed=0)]).save(path)
    model_files.change(path, lambda content, *_: change(content))
    assert " must " in refused(path, capsys)


def test_an_unknown_layer_beside_one_that_is_not_registered(path, capsys):
    """Then no layer is made, and the table says what the file has."""
    nn.Sequential(nn.Dense(2, 2), seed=0).save(path)
    layers = [{"kind": "nn.activation", "name": [], "parameters": 3}, 3, {"kind": "nn.Later", "p": [1]}]
    model_files.change(path, lambda content, *_: content["config"].update(layers=layers))
    rows = [re.split("  +", line) for line in shown(path, capsys).partition("\n\n")[2].splitlines()]
    assert rows[1:] == [
        ["0", "nn.activation(name=(), parameters=3)", "6"],
        ["1", "3", "0"],
        ["2", "nn.Later(p=(1,))", "0"],
    ]


# ---- the command ----


def test_the_command_is_listed(capsys):
    with pytest.raises(SystemExit, match=r"^0$"):
        __main__.main(["--help"])
    assert re.search(r"^ +show +show what is in a model file$", capsys.readouterr().out, re.MULTILINE)
    with pytest.raises(SystemExit, match=r"^2$"):
        __main__.main(["show"])
    assert "MODEL" in capsys.readouterr().err


def test_a_new_process_whose_terminal_has_few_letters(path):
    model_files.write(path, {"é": "x"}, {"ü": np.zeros(1)})
    command = [sys.executable, "-m", "fastnn", "show", str(path)]
    environ = {"PYTHONIOENCODING": "ascii", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    assert r"\xe9" in done.stdout and r"\xfc" in done.stdout and done.stderr == ""


def test_no_net_is_made(path, capsys, monkeypatch):
    """A file of a large net is shown in the memory of its header."""
    full_net().save(path)
    made = []
    monkeypatch.setattr(nn.Sequential, "_assemble", lambda *_: made.append(1))
    assert "parameters" in shown(path, capsys) and not made


def test_printable():
    assert _show.printable("a é\t\x1b[0m\n") == r"a é\t\x1b[0m\n"
    assert json.dumps(_show.printable("\ud800")) == r'"\\ud800"'
