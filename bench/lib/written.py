"""Calls as one writes them by hand, made from a kernel's arguments or from a NumPy expression.

A small array's kernel takes a microsecond, so it matters how it is called: a `functools.partial` with keywords or a
list of calls would cost as much again. `call_of` writes the source of one call, and `with_out` that of a NumPy
expression in its longer form, where each operation writes into an array allocated before.
"""

import inspect
from dataclasses import dataclass

import numpy as np


def compiled(lines, names):
    """Return a function without arguments that runs these lines; `names` are the variables that they use."""
    body = "\n".join(f"        {line}" for line in lines)
    source = f"def make({', '.join(names)}):\n    def run():\n{body}\n    return run\n"
    namespace = {}
    exec(compile(source, "<written>", "exec"), namespace)  # noqa: S102
    return namespace["make"](**names)


def call_of(function, arguments):
    """Return a call of a function, with its first arguments by position and the others by name."""
    parts, by_position = [], True
    for name, parameter in inspect.signature(function).parameters.items():
        by_position = by_position and parameter.kind is parameter.POSITIONAL_OR_KEYWORD and name in arguments
        if name in arguments:
            parts.append(name if by_position else f"{name}={name}")
    parts += [f"{name}={name}" for name in arguments if name not in inspect.signature(function).parameters]
    return compiled([f"return function({', '.join(parts)})"], {"function": function, **arguments})


# ---- NumPy expressions ----


@dataclass
class Operation:
    """One operation of NumPy: what was called, with which inputs and settings, and the array of its result."""

    function: object
    inputs: list
    settings: dict
    out: np.ndarray
    fresh: bool  # whether `out` was allocated for it


def owner_of(array):
    while array.base is not None:
        array = array.base
    return array


def recorded(expression, arguments):
    """Run an expression, and return its operations and its results as plain arrays."""
    operations = []

    class Recorded(np.ndarray):
        def __array_ufunc__(self, ufunc, method, *inputs, out=(None,), **settings):
            function = ufunc if method == "__call__" else getattr(ufunc, method)
            return keep(function, inputs, settings, out[0])

        def __array_function__(self, function, types, inputs, settings):
            if function is np.clip or (function is np.where and len(inputs) == 3):
                return keep(function, inputs, settings)
            return super().__array_function__(function, types, inputs, settings)

        def copy(self, order="C"):
            return keep(np.copyto, [self], {}, np.empty_like(plain(self)), fresh=True)

    def plain(value):
        return value.view(np.ndarray) if isinstance(value, Recorded) else value

    def keep(function, inputs, settings, out=None, fresh=False):
        inputs = [plain(each) for each in inputs]
        if function is np.copyto:
            np.copyto(plain(out), *inputs)
            result = plain(out)
        elif out is None:
            result, fresh = np.asarray(function(*inputs, **settings)), True
        else:
            result = function(*inputs, out=plain(out), **settings)
        operations.append(Operation(function, inputs, settings, result, fresh))
        return result.view(Recorded) if fresh else out

    given = {k: a.view(Recorded) if isinstance(a, np.ndarray) else a for k, a in arguments.items()}
    results = expression(**given)
    single = not isinstance(results, tuple)
    return operations, [plain(each) for each in ((results,) if single else results) if each is not None], single


def stored(operations, results):
    """Return an array for each allocated result, by the id of the old one.

    An array that is not needed any more serves again, as where one writes it by hand: so all stay in the L1 cache.
    """
    last = {}
    for i, operation in enumerate(operations):
        used = (*operation.inputs, *operation.settings.values(), operation.out)
        last |= {id(owner_of(a)): i for a in used if isinstance(a, np.ndarray)}
    last |= {id(owner_of(a)): len(operations) for a in results}
    storage, free = {}, []
    for i, operation in enumerate(operations):
        # Operations of each element may write over an input; where two calls replace `np.where`, the second reads it.
        inputs = [a for a in operation.inputs if isinstance(a, np.ndarray)]
        ending = [key for key in {id(owner_of(a)): None for a in inputs} if key in storage and last[key] == i]
        f = operation.function
        elementwise = f is np.clip or (isinstance(f, np.ufunc) and f.signature is None)
        in_parts = {id(owner_of(a)) for a in inputs if not is_whole(a)}
        spare = [storage[key] for key in ending]
        over = [storage[key] for key in ending if elementwise and key not in in_parts]
        if operation.fresh:
            usable = [a for a in (*over, *free) if same_layout(a, operation.out)]
            chosen = usable[0] if usable else np.empty_like(operation.out)
            storage[id(operation.out)] = chosen
            free = [a for a in free if a is not chosen]
            spare = [a for a in spare if a is not chosen]
        free += spare
    return storage


def same_layout(a, b):
    return (a.shape, a.dtype, a.strides) == (b.shape, b.dtype, b.strides)


def start_of(array):
    return array.__array_interface__["data"][0]


def is_same(a, b):
    return same_layout(a, b) and start_of(a) == start_of(b)


def is_whole(array):
    """Whether a view is of its owner's whole array, as it is."""
    return is_same(array, owner_of(array))


def moved(value, storage):
    """Return the same view of the array that now stands for its owner."""
    if not isinstance(value, np.ndarray) or id(owner_of(value)) not in storage:
        return value
    new = storage[id(owner_of(value))]
    if is_whole(value):
        return new
    offset = start_of(value) - start_of(owner_of(value))
    return np.ndarray(value.shape, value.dtype, new, offset, value.strides)


def with_out(expression, arguments):
    """Return a NumPy expression as a function without arguments, whose operations allocate nothing.

    `np.where` has no such form: in the middle of an expression two calls of `np.copyto` replace it. The arrays among
    the arguments are read, and updated, where they are; calling this updates them once.

    Raises
    ------
    ValueError
        If the function does not compute what the expression does, as where a part of it cannot be recorded.
    """
    before = {k: a.copy() for k, a in arguments.items() if isinstance(a, np.ndarray)}
    with np.errstate(all="ignore"):
        operations, results, single = recorded(expression, arguments)
        run = source_of(operations, results, single)
        try:
            _check(run, expression, arguments, before)
        finally:
            for name, array in before.items():
                arguments[name][...] = array
    return run


def source_of(operations, results, single):
    """Return a function that repeats the operations."""
    storage = stored(operations, results)
    names, lines = {}, []

    def name_of(value):
        value = moved(value, storage)
        return next((name for name, known in names.items() if known is value), None) or _named(names, value)

    for operation in operations:
        out, inputs = name_of(operation.out), [name_of(each) for each in operation.inputs]
        settings = [f"{key}={name_of(value)}" for key, value in operation.settings.items()]
        function = name_of(operation.function)
        if operation.function is np.copyto:
            lines.append(f"{function}({out}, {inputs[0]})")
        elif operation.function is not np.where:
            lines.append(f"{function}({', '.join([*inputs, *settings])}, out={out})")
        elif operation is operations[-1] and single and results and is_same(results[0], operation.out):
            return compiled([*lines, f"return {function}({', '.join(inputs)})"], names)
        else:
            copy = name_of(np.copyto)
            lines += [f"{copy}({out}, {inputs[2]})", f"{copy}({out}, {inputs[1]}, where={inputs[0]})"]
    returned = [name_of(each) for each in results]
    lines.append(f"return {returned[0] if single and returned else ', '.join(returned) or None}")
    return compiled(lines, names)


def _named(names, value):
    name = f"v{len(names)}"
    names[name] = value
    return name


def _check(run, expression, arguments, before):
    """Compare the function and the expression on other numbers: whatever was not recorded shows."""
    for name, array in before.items():
        arguments[name][...] = np.roll(array, 1)
    copies = {k: a.copy() if isinstance(a, np.ndarray) else a for k, a in arguments.items()}
    expected, got = expression(**copies), run()
    pairs = [(copies[name], arguments[name]) for name in before]
    if got is not None and expected is not None:
        ours, theirs = (each if isinstance(each, tuple) else (each,) for each in (got, expected))
        pairs += list(zip(theirs, ours, strict=True))
    if not all(np.allclose(a, b, rtol=1e-5, atol=1e-6, equal_nan=True) for a, b in pairs):
        raise ValueError("the expression cannot be recorded: the function computes something else")
