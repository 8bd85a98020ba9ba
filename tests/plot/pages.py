"""What tests ask of HTML: that it is well formed, and needs nothing beside it."""

import itertools
import re
from html.parser import HTMLParser

PICTURE = "data:image/svg+xml;base64,"
VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """The elements of a text, in their order, with their attributes; elements have to be closed in order."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.text, self.problems, self._open = [], "", [], []
        self.feed(text.removeprefix("<!DOCTYPE html>\n"))
        self.close()
        self.problems += [f"<{each}> is not closed" for each in self._open]

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        if not self._open or self._open.pop() != tag:
            self.problems.append(f"</{tag}> does not fit")

    def handle_data(self, data):
        if not self._open or self._open[-1] != "style":
            self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def page(text):
    """Return a text as a page, checked: well formed, no scripts, no other files, headings in order."""
    found = Page(text)
    assert not found.problems
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in found.elements}
    anchors = {attributes["id"] for _, attributes in found.elements if "id" in attributes}
    for _, attributes in found.elements:
        assert attributes.get("src", PICTURE).startswith(PICTURE)
        assert attributes.get("href", "#")[0] == "#"
        assert attributes.get("href", "#")[1:] in {"", *anchors}
        assert not any(name.startswith("on") for name in attributes)
    assert "url(" not in text and "@import" not in text
    assert all(len(attributes["alt"]) > 5 for attributes in found.all("img"))
    levels = [int(tag[1]) for tag, _ in found.elements if re.fullmatch("h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    return found
