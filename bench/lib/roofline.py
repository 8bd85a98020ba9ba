"""The least time that a training step needs at the limits of the machine: its roofline."""

from bench.lib import machine

LIMITS = machine.ROOT / "build" / "limits.json"  # where `python -m bench.run.limits` writes the limits
CACHES = ("L1", "L2", "L3")

# Optimiser -> its slots, and the divisions and square roots for one parameter.
UPDATES = {
    "sgd": (0, 0, 0),
    "momentum": (1, 0, 0),
    "nesterov": (1, 0, 0),
    "velocity": (1, 0, 0),
    "nesterov_velocity": (1, 0, 0),
    "adagrad": (1, 1, 1),
    "adadelta": (2, 1, 2),
    "rmsprop": (1, 1, 1),
    "rmsprop_momentum": (2, 1, 1),
    "rmsprop_centered": (2, 1, 1),
    "rmsprop_centered_momentum": (3, 1, 1),
    "adam": (2, 1, 1),
    "amsgrad": (3, 1, 1),
    "nadam": (2, 1, 1),
}

# Op that is a matrix product -> the roles of two buffers, whose widths are those of the weight.
PRODUCTS = {
    "dense": ("x", "y"),
    "dense_affine": ("x", "y"),
    "dense_grad_input": ("dy", "dx"),
    "dense_grad_weight": ("x", "dy"),
}


def product_flops(program, rows):
    """Return the flops of a program's matrix products for a batch of so many rows."""
    flops = 0
    for op in (op for ops in program.sections.values() for op in ops if op.kind in PRODUCTS):
        first, second = (program.batch[op.buffers[role]] for role in PRODUCTS[op.kind])
        flops += 2 * rows * first * second
    return flops


def updated_parameters(program):
    """Return the number of parameters whose gradients a program computes."""
    count = 0
    for op in program.sections["backward"]:
        if op.kind == "dense_grad_weight":
            width = program.batch[op.buffers["dy"]]
            count += width * (program.batch[op.buffers["x"]] + ("b" in op.buffers))
        elif op.kind == "batch_norm_backward":
            count += 2 * program.batch[op.buffers["dy"]]
    return count


def step_roofline(program, rows, optimizer, dtype, isa, results, level=None):
    """Return the seconds that a step needs at least, by part and in total, at the limits in `results`.

    products    the flops of the matrix products at the peak rate of multiply-adds
    arithmetic  the update's divisions and square roots one after the other, as one unit does both
    traffic     the update's reads and writes of weights and slots, each once, at the bandwidth of `level`
    total       products, plus the longer of arithmetic and traffic

    `level` is by default the smallest cache that holds weights and slots together. Gradients do not count as traffic,
    since they need not leave the registers. Products and update are added, though a step may fetch the update's arrays
    while it multiplies: a step bound by memory can take less than the total. Activations, loss and normalisation are
    not counted.

    The result also has the level, the number of parameters, and under "held" the bytes of weights and slots.
    """
    best = {r["name"]: r["best"] for r in results["limits"] if (r["isa"], r["dtype"]) == (isa, dtype)}
    slots, divisions, roots = UPDATES[optimizer]
    parameters = updated_parameters(program)
    size = parameters * (1 + slots) * {"float32": 4, "float64": 8}[dtype]
    level = level or next((level for level in CACHES if size <= results["caches"][level]["bytes"]), "memory")
    products = product_flops(program, rows) / best["multiply_add"]
    arithmetic = parameters * (divisions / best["division"] + roots / best["square_root"])
    traffic = 2 * size / best[f"update {level}"]
    parts = {"products": products, "arithmetic": arithmetic, "traffic": traffic}
    parts["total"] = products + max(arithmetic, traffic)
    seconds = {part: 1e-9 * value for part, value in parts.items()}
    return seconds | {"level": level, "parameters": parameters, "held": size}


def check_machine(where, results):
    """Refuse limits that were measured on another machine than the steps."""
    for key in ("processor", "threads"):
        if where[key] != results["machine"][key]:
            raise SystemExit(f"steps and limits were measured on different machines: {key} differs")
