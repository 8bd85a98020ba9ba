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


def refusals():
    """Return each call of `refuse` in the sources: where, and what it says must be, as far as that is written there."""
    for path in SOURCES:
        if path.suffix == ".py":
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) == "refuse":
                    yield f"{name(path)}:{node.lineno}", beginning(node.args[2]) if len(node.args) > 2 else ""


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


def test_what_must_be_is_a_sentence():
    found = list(refusals())
    assert len(found) > 100
    wrong = [(where, text) for where, text in found if text is not None and text.split(" ")[0] not in VERBS]
    assert not wrong
