"""Change one term of a compiled kernel at a time, rebuild, and see whether the tests notice.

``python tools/mutate.py`` works in a copy of the checkout and takes some minutes; ``-k PATTERN`` keeps to those whose
description matches. It fails if a mutant survives, and if the text that a mutation replaces is not there just once.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent


class Mutation(NamedTuple):
    """What is changed, and the tests that must notice: a file and what pytest's ``-k`` takes."""

    what: str
    path: str
    old: str
    new: str
    tests: str
    select: str


KERNELS = "tests/kernels/test_kernels.py"
EXECUTORS = "tests/engine/test_executors.py"
OPTIMIZERS = "tests/optim/test_optimizers.py"
UPDATES = "tests/training/test_updates.py"


def body(family: str, what: str, old: str, new: str, select: str) -> Mutation:
    """A mutation of a C body, which the kernels' tests against their oracles notice."""
    return Mutation(what, f"csrc/{family}.inc.c", old, new, KERNELS, f"(test_oracle or test_edges) and {select}")


def constant(what: str, old: str, new: str, select: str) -> Mutation:
    """A mutation of what a target adds to a loss."""
    return Mutation(what, "csrc/losses.h", old, new, KERNELS, f"test_oracle and {select}")


def wide(what: str, old: str, new: str) -> Mutation:
    """A mutation of a loss in double."""
    return Mutation(what, "csrc/losses_wide.c", old, new, "tests/test_losses.py", "ends_of_the_floats")


def driver(family: str, what: str, old: str, new: str, select: str) -> Mutation:
    """A mutation of the Cython loop around a body."""
    return Mutation(what, f"src/fastnn/kernels/_{family}_cy.pyx", old, new, KERNELS, select)


def panels(path: str, what: str, old: str, new: str) -> Mutation:
    """A mutation of what brings weights into panels and back, or reads them there."""
    return Mutation(what, f"src/fastnn/{path}", old, new, "tests/engine/test_panels.py", "")


MUTATIONS = [
    driver("dense", "no bias", "bias if starts else c", "NULL if starts else c", "test_oracle and dense"),
    driver(
        "dense",
        "later terms start anew",
        "0 if starts else t.c_row",
        "0",
        "test_oracle and dense",
    ),
    driver(
        "dense",
        "the activation after each block of terms",
        "q.done is not NULL and complete",
        "q.done is not NULL",
        "fuses_the_activation",
    ),
    body("dense", "every tile from the first one's rows", "a += t->a_tile;", "a += 0;", "test_oracle and dense"),
    body(
        "dense",
        "a panel's last row stored over what comes after",
        "tail > 0 && last && j == vecs - 1",
        "0",
        "test_oracle and dense",
    ),
    driver(
        "dense",
        "a packed block's rows told from the first",
        "mem.a_panels += strip.rows * strip.k * size",
        "mem.a_panels += 0",
        "products_of_many_blocks",
    ),
    panels("kernels/_dense_cy.pyx", "a panel's first terms again", "panel_offset(q.k, blk.p,", "panel_offset(q.k, 0,"),
    panels("kernels/_dense_cy.pyx", "a result's last panel as wide", "size), t.cols", "size), nr"),
    panels("kernels/_dense_cy.pyx", "a transpose's last panel as wide", "min(nr, q.k - first)", "nr"),
    panels("kernels/_optimizers_cy.pyx", "a penalty by panels", "p.width if p.in_panels else 0", "0"),
    panels(
        "engine/_executor_cy.pyx",
        "panels where a norm is told",
        "min(p.max_norm, self._shared.clip_norm) == INFINITY",
        "p.kernels is not NULL",
    ),
    panels(
        "engine/_lock.pyx",
        "the order is not restored",
        "        if not keep_panels and self.order_restorer is not None:\n            self.order_restorer()\n",
        "        if not keep_panels and self.order_restorer is not None:\n",
    ),
    panels(
        "engine/_lock.pyx",
        "the order is not restored in a fork",
        "            self._writer = 0\n        self.restore_order_if_idle()",
        "            self._writer = 0",
    ),
    body(
        "dense",
        "an entry of the term before",
        "acc[i][j] = v_fma_at(ENTRY(i, term), bv[j], acc[i][j])",
        "acc[i][j] = v_fma_at(ENTRY(i, 0), bv[j], acc[i][j])",
        "test_oracle and dense",
    ),
    body(
        "dense",
        "no bias of few columns",
        "bias ? v_set(bias[j]) : (vreal){0}",
        "(vreal){0}",
        "test_oracle and dense",
    ),
    driver(
        "dense",
        "the first of few columns' rows again",
        "q.kernels.gemm_few(q.k, q.a + i * q.a_row * size",
        "q.kernels.gemm_few(q.k, q.a",
        "test_oracle and dense",
    ),
    body(
        "dense",
        "the last sum column left out",
        "if (j < cols) column_sum_of",
        "if (j + 1 < cols) column_sum_of",
        "grad_bias",
    ),
    body("activations", "tanh': 1 - y for 1 - y*y", "dy * (1 - y * y)", "dy * (1 - y)", "tanh_backward"),
    body("activations", "sigmoid': y for y (1 - y)", "dy * (y * (1 - y))", "dy * y", "sigmoid_backward"),
    body(
        "activations",
        "relu': dy kept where y = 0",
        "v_select(y > 0, dy, v_keep(~(y <= 0), y))",
        "v_select(y >= 0, dy, v_keep(~(y <= 0), y))",
        "relu_backward",
    ),
    body("activations", "relu6': dy kept where y = 6", "(y > 0) & (y < 6)", "(y > 0) & (y <= 6)", "relu6_backward"),
    body(
        "activations",
        "hard_swish': no half",
        "pass(x > -3, dy * (x / 3 + R(0.5)), x)",
        "pass(x > -3, dy * (x / 3), x)",
        "hard_swish_backward",
    ),
    body("activations", "elu': y for y + alpha", "dy * (y + p[0])", "dy * y", "elu_backward and not (selu or celu)"),
    body(
        "activations",
        "softplus: the logarithm not divided by beta",
        "v_log1p(e) * inverse)",
        "v_log1p(e))",
        "softplus and not backward",
    ),
    body(
        "activations",
        "silu, gelu_tanh: 1 - g on the wrong side",
        "slope, v_select(below, v_set(1), e) * inverse",
        "slope, v_select(below, e, v_set(1)) * inverse",
        "(silu_backward or gelu_tanh_backward)",
    ),
    Mutation(
        "tanh: half as many intervals",
        "csrc/math.inc.c",
        "(MANTISSA - 3)",
        "(MANTISSA - 2)",
        KERNELS,
        "test_oracle and tanh and avx512",
    ),
    Mutation(
        "gelu: the tail's way for a whole vector",
        "csrc/math.inc.c",
        "return v_select(small, y + tail, v_fma(a, v_select(small, v_set(1), (vreal)e), y));",
        "return y + tail;",
        "tests/kernels/test_kernels_formulas.py",
        "beside_an_element and gelu",
    ),
    body(
        "activations",
        "gelu': no density",
        "v_fma(v_mills(z), v_set(BELL_ROOT), z * -BELL_DENSITY)",
        "v_mills(z) * BELL_ROOT",
        "gelu_backward",
    ),
    body(
        "activations",
        "mish: e for e (1 + e)",
        "e * v_select(below, 1 + e, 2 * e)",
        "e * v_select(below, v_set(1), 2 * e)",
        "mish and not backward",
    ),
    body("math", "gelu: no way of its own for the tail", "v_any_less(v_set(BELL_TAIL), z)", "0", "gelu"),
    body(
        "math",
        "expm1: 2^n for 2^n - 1",
        "exp_q(exp_rest(low, n)), power - 1)",
        "exp_q(exp_rest(low, n)), power)",
        "(celu or selu)",
    ),
    body("math", "exp: the low part of ln 2", "v_set(-LN2_LOW)", "v_set(0)", "(softmax or sigmoid)"),
    body(
        "normalization",
        "the unbiased variance for the biased",
        "v_load_n(var + j, width) / (real)rows",
        "v_load_n(var + j, width) / (real)(rows - 1)",
        "batch_norm",
    ),
    body(
        "normalization",
        "groups of rows merged as if their means were one",
        "v_fma(shift * shift, v_set(merged), squares)",
        "squares",
        "batch_norm",
    ),
    body(
        "normalization",
        "batch norm's dx without gamma",
        "gain[j] = gamma[start + j] * inv_std[start + j]",
        "gain[j] = inv_std[start + j]",
        "batch_norm_backward",
    ),
    body(
        "normalization",
        "batch norm's dx without the mean of dy",
        "offset[j] = sum_dy[start + j] / (real)n",
        "offset[j] = 0",
        "batch_norm_backward",
    ),
    Mutation(
        "the biased variance in running_var",
        "src/fastnn/kernels/_normalization_cy.pyx",
        "<double> n.rows / (n.rows - 1) if n.rows > 1 else 1.0",
        "1.0",
        EXECUTORS,
        "trajectories",
    ),
    Mutation(
        "the derivative through a mask that y tells, not scaled",
        "src/fastnn/engine/_executor_cy.pyx",
        "s.kernels.scale(d, d, n, scale_of(o.p))",
        "pass",
        EXECUTORS,
        "trajectories",
    ),
    body("dropout", "dropped where it should be kept", ") >= threshold)", ") < threshold)", "dropout"),
    driver(
        "dropout",
        "every piece draws the first one's words",
        "r.out + offset, n, first, &r.stream",
        "r.out + offset, n, 0, &r.stream",
        "where_they_split and dropout",
    ),
    Mutation(
        "a round of Philox left out",
        "csrc/random.h",
        "#define PHILOX_ROUNDS 10",
        "#define PHILOX_ROUNDS 9",
        KERNELS,
        "test_oracle and random_bits",
    ),
    Mutation(
        "a round of a mask's Philox left out",
        "csrc/random.h",
        "#define PHILOX_MASK_ROUNDS 7",
        "#define PHILOX_MASK_ROUNDS 6",
        KERNELS,
        "test_oracle and dropout",
    ),
    Mutation(
        "a permutation without fixed points",
        "csrc/random.c",
        "((uint64_t)i + 1) >> 32",
        "((uint64_t)i) >> 32",
        KERNELS,
        "test_oracle and permutation",
    ),
    body(
        "losses",
        "softmax without the largest entry taken off",
        "row_exp(x, row_max(x, n), y, n)",
        "row_exp(x, 0, y, n)",
        "softmax",
    ),
    body(
        "losses",
        "the sign of z t in binary cross-entropy",
        "v_max(v_set(0), z) - z * t",
        "v_max(v_set(0), z) + z * t",
        "binary_cross_entropy",
    ),
    body("losses", "half the gradient of squared errors", "*d = 2 * (z - t)", "*d = z - t", "mean_squared_error"),
    body(
        "losses",
        "cross-entropy's gradient without the target",
        "grad[c->label] -= part_of_target",
        "(void)part_of_target",
        "cross_entropy",
    ),
    body("losses", "label smoothing takes nothing from the label", "(real)(1 - parameters[0])", "1", "smoothed"),
    body(
        "losses",
        "smoothed labels weighted by their class twice",
        "c.weight = 1 / c.weights[label]",
        "c.weight = 1",
        "smoothed and not probabilities",
    ),
    body("losses", "a yes that counts once more", "l = 1 + (p - 1) * t", "l = 1 + p * t", "by_column"),
    body("losses", "MAE's derivative on one side", "v_select(e < 0, v_set(-1), e)", "v_set(-1)", "absolute"),
    body("losses", "Huber's derivative without its limit", "v_select(a > p, v_copysign(p, e), e)", "e", "huber"),
    body("losses", "log cosh without log 2", "a - R(0.69314718055994530942)", "a", "log_cosh"),
    body("losses", "log cosh' of the half", "v_copysign(2 * h / (1 + square), e)", "v_copysign(2 * h, e)", "log_cosh"),
    body("losses", "hinge' with the other sign", "v_select(margin > 0, -t,", "v_select(margin > 0, t,", "hinge"),
    body("losses", "half of squared hinge'", "*d = -2 * t * h", "*d = -t * h", "squared_hinge"),
    body("losses", "every quantile of the first target", "v_set(t[j / quantiles])", "v_set(t[0])", "quantile_at_three"),
    body("losses", "the first quantile for all", "v_doubles(levels + i, width, 1)", "v_set(levels[0])", "at_three"),
    body("losses", "a quantile's two slopes alike", "v_select(e < 0, 1 - q, e)", "v_select(e < 0, q, e)", "quantile"),
    body("math", "e^z of a rate above 1", "EXP_UNIT / e,", "e / EXP_UNIT,", "poisson"),
    wide("two infinities as one", "infinities == 1 &&", "infinities &&"),
    wide("infinity of no part", "return a == 0 && !isnan(b) ? 0 : a * b", "return a * b"),
    wide("a rate that does not outweigh", "const int infinite = rate == INFINITY", "const int infinite = 0"),
    constant("a deviance without - t", "return t > 0 ? t * log(t) - t", "return t > 0 ? t * log(t)", "deviance"),
    constant("Stirling's formula from 0 on", "return t > 1 ?", "return t > 0 ?", "in_full"),
    body(
        "losses", "a margin without its own class", "grad[label] = -v_sum(slope) * (real)scale", "(void)slope", "margin"
    ),
    body(
        "losses", "margins of the class itself", "v_first(width) & (one_hot(label, i) == 0)", "v_first(width)", "margin"
    ),
    Mutation(
        "a gradient multiplied as the value is",
        "src/fastnn/engine/_executor_cy.pyx",
        "o.loss_parameters, o.value, o.slope",
        "o.loss_parameters, o.value, o.value",
        "tests/test_losses.py",
        "hand_written",
    ),
    body(
        "losses",
        "short rows: the first class's score for all",
        "score = v_select(at == v_iset((ireal)j), below, score)",
        "score = v_select(at == v_iset(0), below, score)",
        "cross_entropy",
    ),
    body(
        "losses",
        "short rows: the gradient without the label",
        "column[j] * factor - v_keep(at == v_iset((ireal)j), slope)",
        "column[j] * factor",
        "cross_entropy",
    ),
    driver(
        "losses",
        "rows of a group added without their weights",
        "loss += share[i] * of_row[i]",
        "loss += 1.0 / b.rows * of_row[i]",
        "test_oracle and weighted",
    ),
    body(
        "optimizers",
        "adam: beta2 and 1 - beta2 swapped",
        "c[1] * slot[1] + c[2] * (g * g)",
        "c[2] * slot[1] + c[1] * (g * g)",
        "adam",
    ),
    body("optimizers", "adam: eps inside the root", "(v_sqrt(slot[1]) + c[4])", "v_sqrt(slot[1] + c[4])", "adam"),
    body("optimizers", "amsgrad: the last, not the largest", "v_max(slot[2], slot[1])", "slot[1]", "amsgrad"),
    body(
        "optimizers",
        "nadam: the rates of gradient and mean swapped",
        "(c[0] * g + c[1] * slot[0])",
        "(c[1] * g + c[0] * slot[0])",
        "nadam",
    ),
    body(
        "optimizers",
        "rmsprop: eps inside the root",
        "return w - c[0] * g / (v_sqrt(mean_square(g, slot, c)) + c[3])",
        "return w - c[0] * g / v_sqrt(mean_square(g, slot, c) + c[3])",
        "rmsprop",
    ),
    Mutation(
        "a centred variance below 0",
        "csrc/optimizers.inc.c",
        "v_max(v_set(0), slot[0] - slot[1] * slot[1])",
        "slot[0] - slot[1] * slot[1]",
        OPTIMIZERS,
        "centred_variance",
    ),
    body("optimizers", "adagrad: g for g^2", "flush(slot[0] + g * g)", "flush(slot[0] + g)", "adagrad"),
    body("optimizers", "adadelta: a move for its square", "(move * move)", "move", "adadelta"),
    body("optimizers", "momentum without dampening", "c[1] * slot[0] + c[2] * g)", "c[1] * slot[0] + g)", "damped"),
    body("optimizers", "nesterov: plain momentum", "(g + c[1] * slot[0])", "slot[0]", "nesterov"),
    body("optimizers", "velocity: uphill", "c[1] * slot[0] - c[0] * g", "c[1] * slot[0] + c[0] * g", "velocity"),
    body(
        "optimizers", "a penalty that makes weights grow", "(shrink * wi + sign)", "(shrink * wi - sign)", "regularize"
    ),
    body(
        "optimizers",
        "clipped from above alone",
        "v_max(-high, v_load_n(x + i, width))",
        "v_load_n(x + i, width)",
        "clip",
    ),
    body("optimizers", "small norms grow", "norm > limit ? limit / norm : 1", "limit / norm", "limit_norms"),
    body("optimizers", "a sum of values for squares", "s[j] += v * v", "s[j] += v", "sums"),
    Mutation(
        "a group takes the first one's scalars",
        "src/fastnn/kernels/_optimizers_cy.pyx",
        "p.step.scalars + p.group * p.step.stride",
        "p.step.scalars",
        UPDATES,
        "frozen",
    ),
    Mutation(
        "a penalty that is not divided by the batch",
        "src/fastnn/kernels/_optimizers_cy.pyx",
        "share = 1.0 / p.step.weight if p.step.weight > 0.0 else 0.0",
        "share = 1.0",
        UPDATES,
        "penalty_is_in_the_gradient",
    ),
    Mutation(
        "no clipping by norm where there is weight decay",
        "src/fastnn/kernels/_optimizers_cy.pyx",
        "    if p.step.clip != 1.0:",
        "    if p.decay == NO_DECAY and p.step.clip != 1.0:",
        UPDATES,
        "twins_and_threads",
    ),
    Mutation(
        "gradients grow to the norm",
        "src/fastnn/engine/_executor_cy.pyx",
        "1.0 if factor >= 1.0 else factor",
        "factor",
        UPDATES,
        "clips_nothing",
    ),
    Mutation(
        "no limit of norms where the update is fused",
        "src/fastnn/engine/_executor_cy.pyx",
        "        constrain(&o.first, s.threads)",
        "        pass",
        UPDATES,
        "norms_of_units",
    ),
    body("optimizers", "slots keep denormals", "v_keep(~(v_abs(s) < REAL_MIN), s)", "s", "momentum"),
    body("gather", "a row's last piece left out", "memcpy(to + n - PIECE", "if (0) memcpy(to + n - PIECE", "gather"),
    body("gather", "the row before", "rows[i] * x_row", "(rows[i] > 0 ? rows[i] - 1 : 0) * x_row", "gather"),
    Mutation(
        "a batch reads the weights of other rows",
        "src/fastnn/engine/_executor_cy.pyx",
        "weight[order[start + i]]",
        "weight[start + i]",
        "tests",
        "weight",
    ),
    Mutation(
        "every step draws the same dropout mask",
        "src/fastnn/engine/_executor_cy.pyx",
        "<uint32_t> (number + done)",
        "<uint32_t> number",
        EXECUTORS,
        "trajectories",
    ),
    Mutation(
        "the bias is not updated",
        "src/fastnn/engine/_executor_cy.pyx",
        "            update_run(&o.second, 0, n, o.data[DB])\n    if o.updates:",
        "            pass\n    if o.updates:",
        EXECUTORS,
        "trajectories",
    ),
]


def copy_checkout(folder: Path) -> None:
    """Copy what is under version control, or would be."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def build(folder: Path, python: str) -> None:
    """Bring the compiled parts of the copy up to date."""
    command = [python, "setup.py", "--quiet", "build_ext", "--inplace"]
    done = subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"the build failed:\n{done.stdout}{done.stderr}")


def run_tests(folder: Path, tests: str, select: str) -> tuple[int, list[str]]:
    """Pytest's exit status, and the lines that name failed tests."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", "-p", "no:cacheprovider", tests, "-k", select]
    env = os.environ | {"PYTHONPATH": str(folder / "src"), "COLUMNS": "200"}
    origin = [sys.executable, "-c", "import fastnn._native; print(fastnn._native.__file__)"]
    module = subprocess.run(origin, cwd=folder, env=env, check=True, capture_output=True, text=True).stdout
    if not Path(module.strip()).is_relative_to(folder):
        sys.exit(f"the tests would import {module.strip()}, not the mutants")
    done = subprocess.run(command, check=False, cwd=folder, env=env, capture_output=True, text=True)
    lines = [line.removeprefix("FAILED ") for line in done.stdout.splitlines() if line.startswith("FAILED ")]
    if done.returncode not in (0, 1):
        sys.exit(f"pytest {tests} -k {select!r} gave no verdict:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return done.returncode, lines


def survivors(folder: Path, mutations: list[Mutation], builder: str) -> list[str]:
    """Try every mutation, print what caught it, and return what is wrong."""
    wrong = []
    build(folder, builder)
    for tests, select in dict.fromkeys((m.tests, m.select) for m in mutations):
        status, lines = run_tests(folder, tests, select)
        if status:
            sys.exit(f"{lines} fails without any mutation")
    print("| mutation | caught by |\n|---|---|", flush=True)
    for mutation in mutations:
        path = folder / mutation.path
        text = path.read_text()
        path.write_text(text.replace(mutation.old, mutation.new))
        build(folder, builder)
        _, lines = run_tests(folder, mutation.tests, mutation.select)
        path.write_text(text)
        caught = lines[0].split(" - ")[0] if lines else "**nothing**"
        print(f"| {mutation.path}: {mutation.what} | {caught} |", flush=True)
        if not lines:
            wrong.append(f"{mutation.what}: no test noticed")
    return wrong


def main() -> int:
    """Try the mutations; 1 if the tests miss one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("-k", default="", help="only the mutations whose path or description matches")
    parser.add_argument("--builder", default=sys.executable, help="the Python that has Cython and setuptools")
    parser.add_argument("--check", action="store_true", help="only whether the code still has what they replace")
    arguments = parser.parse_args()
    chosen = [m for m in MUTATIONS if re.search(arguments.k, f"{m.path}: {m.what}")]
    counts = {m: (ROOT / m.path).read_text().count(m.old) for m in chosen}
    wrong = [f"{m.path} has {m.old!r} {n} times, expected once" for m, n in counts.items() if n != 1]
    if not chosen:
        wrong.append(f"no mutation matches {arguments.k!r}")
    if not (wrong or arguments.check):
        with tempfile.TemporaryDirectory(prefix="fastnn-mutants-") as folder:
            copy_checkout(Path(folder))
            wrong = survivors(Path(folder).resolve(), chosen, str(Path(arguments.builder).absolute()))
    verdict = "cannot be made" if arguments.check else "not caught"
    print(*wrong, f"{len(chosen)} mutations, {len(wrong)} {verdict}", sep="\n")
    return min(len(wrong), 1)


if __name__ == "__main__":
    sys.exit(main())
