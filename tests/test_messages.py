"""Every message comes from `_validation.py`, in one form, whatever the module that refuses something."""

import ast
import builtins
import re
from pathlib import Path

import pytest

import fastnn

PACKAGE = Path(fastnn.__file__).parent
SOURCES = sorted(path for path in PACKAGE.rglob("*.py*") if path.suffix in (".py", ".pyx"))

# The messages' own modules: fastnn's, and those that have scikit-learn's words.
WRITERS = {"_validation.py", "sklearn/_messages.py"}
ERRORS = {name for name, each in vars(builtins).items() if isinstance(each, type) and issubclass(each, Exception)}

RAISE = re.compile(r"^\s*raise (\w+)\b(\(?)", re.MULTILINE)


def name(path):
    return str(path.relative_to(PACKAGE))


def messages_in(text):
    """Return the built-in errors that a source raises with words of its own."""
    return [match[1] for match in RAISE.finditer(text) if match[1] in ERRORS and match[2]]


def test_the_finder_finds():
    text = 'def f():\n    raise ValueError("no")\n    raise error\n    raise TypeError(f"{x}") from error'
    assert messages_in(text) == ["ValueError", "TypeError"]


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_no_module_has_messages_of_its_own(path):
    if name(path) in WRITERS:
        return
    assert not messages_in(path.read_text()), "raise it by a function of fastnn._validation"


# The functions that are given what an argument must be, and the position of that sentence among their arguments.
MUST = {"refuse": 2, "refuse_class": 3, "instance": 3}

CALL = re.compile(rf"(?<!def )\b(?:{'|'.join(MUST)})\(")
CAST = re.compile(r"<[\w ]+\**> ?(?=[\w(])")


def cython_calls(text):
    """Yield line and expression of each call of a function of MUST in a Cython source; its casts are left out."""
    for match in CALL.finditer(text):
        call = CAST.sub("", text[match.start() : match.start() + 1000])
        for end in re.finditer(r"\)", call):
            try:
                node = ast.parse(call[: end.end()], mode="eval").body
            except SyntaxError:  # this parenthesis is inside the call
                continue
            yield text.count("\n", 0, match.start()) + 1, node
            break
        else:
            raise AssertionError(f"no end of the call {call[:100]}")


def python_calls(text):
    """Yield line and expression of each call of a function of MUST."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in MUST:
            yield node.lineno, node


def refusals(text, calls):
    """Return the line of each call in a source, and what it says must be, as far as that is written there."""
    for line, node in calls(text):
        at = MUST[getattr(node.func, "attr", getattr(node.func, "id", ""))]
        yield line, beginning(node.args[at]) if len(node.args) > at else ""


def beginning(node):
    """Return the text that a string, or an f-string, begins with; None of anything else."""
    if isinstance(node, ast.JoinedStr):
        node = node.values[0] if node.values else None
    return node.value if isinstance(node, ast.Constant) else None


# After "must": what a message asks for begins with a verb.
VERBS = {
    "be", "begin", "contain", "count", "cover", "differ", "end", "fit", "give", "have", "hold", "leave", "match",
    "name", "need", "return", "share", "start", "step", "take",
}  # fmt: skip


def without_verb(path, text):
    """Return the messages of a source in which what must be does not begin with a verb."""
    found = refusals(text, python_calls if path.suffix == ".py" else cython_calls)
    return [(line, must) for line, must in found if must is not None and must.split(" ")[0] not in VERBS]


def test_a_missing_verb_is_found():
    lines = [
        "f(x)",
        'refuse(E, "x", f"be {len(<bytes> x)} bytes", (1))',
        'refuse(E, "x",',
        '  "a list", (<char *> y)[0])',
    ]
    text = "\n".join(lines)
    assert without_verb(Path("x.pyx"), text) == [(3, "a list")]
    assert without_verb(Path("x.py"), CAST.sub("", text)) == [(3, "a list")]


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_what_must_be_is_a_sentence(path):
    assert not without_verb(path, path.read_text())


@pytest.mark.parametrize(("suffix", "calls", "least"), [(".py", python_calls, 100), (".pyx", cython_calls, 10)])
def test_calls_are_found(suffix, calls, least):
    assert sum(len(list(calls(path.read_text()))) for path in SOURCES if path.suffix == suffix) > least
