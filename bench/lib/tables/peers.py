"""Tables of what `python -m bench.run.peers` has measured."""

from bench.lib.tables.common import conditions, digits, rounds_of, spread, table

TITLES = {"numpy": "NumPy by hand", "JAX": "JAX jit + scan"}  # of peers whose name alone says too little
EVEN = 0.97  # a ratio above this counts as no slower
UNITS = {"step": ("µs", 1e6), "epoch": ("ms", 1e3), "kernel": ("µs", 1e6)}


def peers_table(levels, family, first):
    """Return how many times as long each peer takes, with the quartiles: a row for each case and ISA level."""
    found = [(m["isa"], case) for m, cases in levels for case in cases if case["family"] == family]
    peers = list(dict.fromkeys(peer for _, case in found for peer in case["ratios"]))
    unit, factor = UNITS[family]
    order = list(dict.fromkeys((case["name"], case["shape"]) for _, case in found))
    rows = []
    for isa, case in sorted(found, key=lambda pair: order.index((pair[1]["name"], pair[1]["shape"]))):
        shown = [spread(case["ratios"][peer]) if peer in case["ratios"] else "-" for peer in peers]
        rows.append([case["name"], case["shape"], isa, digits(factor * case["seconds"]["native"]), *shown])
    return table([first, "", "level", f"fastnn, {unit}", *(TITLES.get(peer, peer) for peer in peers)], rows)


def slower_text(levels):
    """Return which kernels take longer than PyTorch's, by the lower quartile of the ratio."""
    slower = [
        f"{case['name']} at {case['shape']} and {m['isa']} ({case['ratios']['PyTorch'][0]:.2f})"
        for m, cases in levels
        for case in cases
        if case["family"] == "kernel" and case["ratios"].get("PyTorch", [1])[0] < EVEN
    ]
    return f"Lower quartile of PyTorch's ratio below {EVEN}: {', '.join(slower) or 'none'}."


def missing_text(results):
    """Return a sentence for each reason why a library was not measured: which nets, and at which ISA levels."""
    found = {}
    for r in results:
        for name, reason in r["missing"].items():
            library, _, net = name.partition(", ")
            found.setdefault((library, reason), {}).setdefault(r["machine"]["isa"], []).append(net)
    sentences = []
    for (library, reason), nets in sorted(found.items()):
        where = "" if len(nets) == len(results) else f" at {' and '.join(nets)}"
        names = ", ".join(dict.fromkeys(net for own in nets.values() for net in own if net))
        sentences.append(f"No {library}{where}{f' for {names}' if names else ''}: {reason}.")
    return sentences


def chosen_text(results):
    """Return which form of a library was measured for a net, where it has several."""
    found = {}
    for r in results:
        for name, form in r.get("chosen", {}).items():
            found.setdefault((name.partition(", ")[2], form), []).append(r["machine"]["isa"])
    nets = {}
    for (net, form), levels in found.items():
        nets.setdefault(net, []).append(form if len(levels) == len(results) else f"at {' and '.join(levels)} {form}")
    return [f"{net[0].upper()}{net[1:]}: {'; '.join(forms)}." for net, forms in nets.items()]


def peers_text(results, families=("step", "epoch", "kernel")):
    """Return the tables of these families, from measurements at one ISA level or more."""
    levels = [(r["machine"], r["cases"]) for r in results]
    cases = [case for _, own in levels for case in own if case["family"] in families]
    if not cases:
        return ""
    what = "How many times as long as fastnn the others take"
    parts = [f"{what}, float32, one thread on one core: {rounds_of(cases)}."]
    for family, first in (("step", "training step"), ("epoch", "whole epoch"), ("kernel", "kernel")):
        if family in families and any(case["family"] == family for case in cases):
            parts.append(peers_table(levels, family, first))
        if family == "step" and family in families:
            parts += chosen_text(results)
    if "kernel" in families:
        parts.append(slower_text(levels))
    missing = missing_text(results)
    m = levels[0][0]
    libraries = ", ".join(f"{name} {version}" for name, version in m["libraries"].items())
    others = "".join(f"; {o['isa']} at {o['commit']}" for o, _ in levels[1:] if o["commit"] != m["commit"])
    return "\n\n".join([*parts, *missing, f"{conditions(m)[:-1]}; {libraries}{others}."])
