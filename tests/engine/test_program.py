"""Programs: the ops that layers are lowered to, and their fusion."""

import doctest
from pathlib import Path

import pytest

from fastnn import nn
from fastnn.engine import (
    OPS,
    Update,
    _op_cy,
    _ops_cy,
    _ops_ref,
    lower_inference,
    lower_training,
    lower_update,
    make_executor,
)
from fastnn.engine.lower import SECTIONS
from fastnn.engine.ops import ROLES, make_op, output_holds_mask
from fastnn.engine.statistics import lower_statistics, reset_values

PAGE = Path(__file__).resolve().parents[2] / "docs" / "programs.md"


def test_the_compiled_ops_have_the_order_of_the_tables():
    for names, total in ((ROLES, "N_ROLES"), (SECTIONS, "N_SECTIONS")):
        assert [getattr(_op_cy, name.upper()) for name in names] == list(range(getattr(_op_cy, total)))


def test_both_executors_have_a_body_for_each_kind_of_op():
    assert set(_ops_ref.RUN) == set(_ops_cy.KINDS) == set(OPS)


@pytest.mark.parametrize("kind", OPS)
def test_rows_of_the_op_table(kind):
    spec = OPS[kind]
    assert set(spec.optional) <= set(spec.buffers)
    assert set(spec.may_share) <= set(spec.writes)
    assert set(spec.may_share.values()) <= set(spec.reads)
    assert set(spec.updates) <= set(spec.writes)
    assert set(spec.updates.values()) <= set(spec.reads)
    assert set(spec.absorbs.values()) <= set(OPS)


def kinds(program, section):
    return [op.kind for op in program.sections[section]]


def deep():
    return nn.Sequential(
        nn.Dense(5, 8, bias=False),
        nn.BatchNorm(8),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Dense(8, 6),
        nn.Tanh(),
        nn.Dense(6, 3),
        seed=0,
    )


def test_training_fuses_epilogues_with_the_op_before():
    program = deep().training_program(loss="cross_entropy", target="labels", optimizer="adam")
    assert kinds(program, "forward") == ["dense", "batch_norm", "dense", "dense"]
    assert program.sections["forward"][1].attrs["activation"] == "relu"
    assert program.sections["forward"][1].attrs["p"] == 0.5
    assert kinds(program, "loss") == ["loss"]
    assert program.sections["loss"][0].attrs["loss"] == "cross_entropy_labels"
    assert kinds(program, "backward") == [
        "dense_grad_input", "dense_grad_weight", "dense_grad_input", "dense_grad_weight", "batch_norm_backward",
        "dense_grad_weight",
    ]  # fmt: skip
    assert all(op.attrs["update"] == "adam" for op in program.sections["backward"] if "update" in op.attrs)
    assert kinds(program, "update") == []
    assert program.has_batch_statistics
    assert program.depends_on_batch_or_chance
    assert kinds(program, "input") == ["gather", "scale_input", "gather_labels", "gather_weight"]
    assert kinds(program, "observe") == ["record_loss"]


@pytest.mark.parametrize(("layer", "depends"), [(nn.BatchNorm(3), True), (nn.Dropout(0.5), True), (nn.ReLU(), False)])
def test_programs_that_depend_on_batch_or_chance(layer, depends):
    builder, output = nn.Sequential(nn.Dense(2, 3), layer.detached(), nn.Dense(3, 1), seed=0).emit(training=True)
    assert lower_training(builder, output).depends_on_batch_or_chance is depends


def test_an_update_alone():
    program = lower_update(Update("adam", clip_norm=1.0))
    assert list(program.sections) == ["update"]
    assert kinds(program, "update") == ["clip_norm", "update"]
    assert program.batch == {}


def test_an_average_follows_the_updates_fused_or_not():
    update = Update("adam", averaged=True)
    assert kinds(lower_update(update), "update") == ["update", "average"]
    fused = deep().training_program(loss="cross_entropy", target="labels", optimizer=update)
    assert kinds(fused, "update") == ["average"]
    net = deep()
    with pytest.raises(ValueError, match="slots must be 3 arrays of"):
        fused.check(net.params, net.state, (net.params.data,) * 2)


def test_the_program_of_running_statistics_is_that_of_inference_but_for_batch_norms():
    net = nn.Sequential(
        nn.Dense(4, 3), nn.BatchNorm(3, eps=1e-3), nn.ReLU(), nn.Dropout(0.5), nn.BatchNorm(3, momentum=None), seed=0
    )
    (inference, output), training = net.emit(training=False), net.emit(training=True)[0]
    program = lower_statistics(training, inference, output)
    assert list(program.sections) == ["input", "forward"]
    assert kinds(program, "forward") == ["dense", "batch_norm", "batch_norm"]
    first, second = program.sections["forward"][1:]
    assert first.attrs["eps"] == 1e-3
    assert first.buffers["count"].startswith("vector:")
    assert second.buffers["count"] == "state:4.num_batches_tracked"
    assert all(op.attrs["p"] == 0.0 for op in program.sections["forward"])
    assert set(reset_values(program)) == {*(f"state:{name}" for name in net.state.layout), first.buffers["count"]}
    plain = nn.Sequential(nn.Dense(4, 3), nn.LayerNorm(3), nn.Dropout(0.5), seed=0)
    assert lower_statistics(plain.emit(training=True)[0], *plain.emit(training=False)) is None


def test_unused_sections_of_a_batch_do_nothing(impl):
    """Callers that fill the buffers run sections themselves: there is no feed to load from, and no loss to record."""
    net = nn.Sequential(nn.Dense(2, 2), seed=0)
    program = net.training_program(loss="cross_entropy", target="labels", optimizer="sgd")
    executor = make_executor(program, net.dtype, 3, net.params, net.state, net.grads)
    executor.array(program.input, 3)[...] = 7
    for section in ("input", "observe"):
        executor.run(section, 3)
    assert (executor.array(program.input, 3) == 7).all()


def test_inference_folds_batch_norms_and_leaves_dropout_out():
    program = lower_inference(*deep().emit(training=False))
    assert kinds(program, "input") == ["gather", "scale_input"]
    assert kinds(program, "forward") == ["dense_affine", "dense", "dense"]
    assert all(op.attrs["p"] == 0.0 for op in program.sections["forward"])
    assert not program.has_batch_statistics


def test_hand_written_loops_update_in_one_pass():
    program = deep().training_program(optimizer="sgd")
    assert kinds(program, "loss") == []
    assert kinds(program, "update") == ["update"]
    assert all(op.attrs.get("update", "") == "" for op in program.sections["backward"])


def test_a_target_may_be_narrower_than_the_output():
    loss = nn.QuantileLoss([0.1, 0.5, 0.9], columns="sum")
    program = deep().training_program(loss=loss, target="rows")
    assert (program.target, program.batch["batch:target"]) == ("rows", 1)
    assert program.sections["loss"][0].attrs == {
        "loss": "quantile",
        "value": 1.0,
        "slope": 1.0,
        "loss_parameters": (3.0, 0.1, 0.5, 0.9),
        "head": 0,
        "adds": False,
    }


def test_heads_copy_only_what_they_must():
    """A head with all columns works on them in place; class numbers are read from the targets."""
    loss = nn.HeadsLoss([("cross_entropy", 2), ("mean_squared_error", 1)])
    program = deep().training_program(loss=loss, target="rows", optimizer="adam")
    loads = ["gather", "scale_input", "gather_target", "scale_target", "take_labels", "gather_weight"]
    assert kinds(program, "input") == loads
    assert kinds(program, "loss") == [
        *("take_columns", "loss", "put_columns"),
        *("take_columns", "take_columns", "loss", "put_columns"),
    ]
    assert [op.attrs["adds"] for op in program.sections["loss"] if op.kind == "loss"] == [False, True]
    assert kinds(program, "update") == []
    assert (program.n_heads, [each.column for each in program.labels]) == (2, [0])
    for one, inputs in (("cross_entropy", 6), ("mean_squared_error", 5)):
        program = deep().training_program(loss=nn.HeadsLoss([(one, 3)]), target="rows")
        assert kinds(program, "loss") == ["loss"]
        assert len(program.sections["input"]) == inputs


def test_ops_are_checked():
    with pytest.raises(ValueError, match=r"^op 'dense' must have the buffers x, w, y and may have b, h, got x$"):
        make_op("dense", {"x": "batch:x"})
    with pytest.raises(ValueError, match=r"^op 'softmax' must have the buffers x, y, got x, y, h$"):
        make_op("softmax", {"x": "batch:x", "y": "batch:y", "h": "batch:h"})
    with pytest.raises(
        ValueError, match=r"^op 'epilogue_backward' must have only the attributes .*, p, .*, got slope$"
    ):
        make_op("epilogue_backward", {"d": "batch:d"}, slope=1)
    with pytest.raises(ValueError, match=r"^op 'penalty' must have no buffers, got x$"):
        make_op("penalty", {"x": "batch:x"})
    with pytest.raises(ValueError, match=r"^op 'add' must write its y into a buffer of its own, got that of its x2$"):
        make_op("add", {"x": "batch:x", "x2": "batch:y", "y": "batch:y"})


def test_a_relus_output_after_dropout_holds_mask_and_derivative():
    """ReLU needs no second mask and no buffer h; a tanh's derivative needs its output before dropout."""
    layers = nn.Dense(5, 8), nn.ReLU(), nn.Dropout(0.5), nn.Dense(8, 6), nn.Tanh(), nn.Dropout(0.5), nn.Dense(6, 3)
    program = nn.Sequential(*layers, seed=0).training_program(loss="cross_entropy", target="labels", optimizer="adam")
    relu, tanh, _ = program.sections["forward"]
    assert "h" not in relu.buffers
    assert "h" in tanh.buffers
    by_tanh, by_relu = (op for op in program.sections["backward"] if op.kind == "dense_grad_input")
    assert (by_tanh.buffers["h"], output_holds_mask(by_tanh)) == (tanh.buffers["h"], False)
    assert (by_relu.buffers["h"], output_holds_mask(by_relu)) == (relu.buffers["y"], True)


@pytest.mark.skipif(not PAGE.is_file(), reason="needs the checkout")
def test_examples_of_the_page_on_programs():
    failed, tried = doctest.testfile(str(PAGE), module_relative=False, optionflags=doctest.REPORT_NDIFF)
    assert tried > 5
    assert failed == 0
