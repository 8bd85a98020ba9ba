"""Names that stand for objects: how they are compared, aliases, and names with another meaning in other libraries."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping


def normalized(name: str) -> str:
    """Return a name as names are compared: without case, ``_`` and ``-``."""
    return name.lower().replace("_", "").replace("-", "")


def suggestion(name: object, known: Collection[str], aliases: Mapping[str, str] | None = None) -> str:
    """Return ``did you mean 'adam'?`` if a known name, or an alias of one, is close to a name, else ""."""
    if not isinstance(name, str) or len(name) > 100:
        return ""
    from difflib import get_close_matches

    spelled = {**(aliases or {}), **{normalized(each): each for each in known}}
    close = get_close_matches(normalized(name), spelled, 1, 0.7)
    return f"did you mean {spelled[close[0]]!r}?" if close else ""


class Names:
    """The names that an argument takes.

    Parameters
    ----------
    known : collection of str
        The names that messages list. It may grow later.
    aliases : mapping of str to str, optional
        Other names, each with the known name that it stands for. An alias has the same formula, under whatever name
        other libraries have it.
    elsewhere : mapping of str to str, optional
        Names that mean something else in another library, or need an argument, each with what to write instead.

    Attributes
    ----------
    known
    aliases, elsewhere : dict
        As given, with the names normalized.
    """

    def __init__(
        self,
        known: Collection[str],
        aliases: Mapping[str, str] | None = None,
        elsewhere: Mapping[str, str] | None = None,
    ) -> None:
        self.known = known
        self.aliases = {normalized(alias): name for alias, name in (aliases or {}).items()}
        self.elsewhere = {normalized(name): fix for name, fix in (elsewhere or {}).items()}

    def __iter__(self) -> Iterator[str]:
        return iter(self.known)

    def find(self, name: str) -> str | None:
        """Return the known name that a name stands for, or None."""
        if name in self.known:
            return name
        key = normalized(name)
        same = next((each for each in self.known if normalized(each) == key), None)
        alias = self.aliases.get(key)
        return alias if same is None and alias in self.known else same

    def fix(self, name: str) -> str:
        """Return what to write instead of a name that is not known; "" if nothing is close."""
        return self.elsewhere.get(normalized(name)) or suggestion(
            name, self.known, {alias: target for alias, target in self.aliases.items() if target in self.known}
        )
