"""The table of what `python -m bench.run.limits` has measured, and that of the steps' shares of their rooflines."""

from bench.lib.tables.common import digits, table


def limits_table(results):
    """Return the best of each probe, with the quartiles of its repetitions."""
    cells = {(r["name"], r["unit"]): {} for r in results["limits"]}
    for r in results["limits"]:
        first, _, third = map(digits, r["quartiles"])
        cells[r["name"], r["unit"]][f"{r['isa']} {r['dtype']}"] = f"{digits(r['best'])} ({first} to {third})"
    columns = list(next(iter(cells.values())))
    rows = [[name.replace("_", "-"), unit, *map(row.get, columns)] for (name, unit), row in cells.items()]
    return table(["best (quartiles)", "", *columns], rows)


def limits_text(results):
    """Return the table at the levels that docs show, with the processor and its caches."""
    levels = ("avx2", "avx512", "neon")
    shown = {**results, "limits": [r for r in results["limits"] if r["isa"] in levels]}
    caches = ", ".join(f"{level} {cache['bytes'] >> 10} kB" for level, cache in results["caches"].items())
    return f"{limits_table(shown)}\n\n{results['machine']['processor']}; {caches}. `make limits` measures this."


def parts_of(roofline):
    """Return the cells of a roofline's parts, in microseconds."""
    cells = [digits(1e6 * roofline[part]) for part in ("products", "arithmetic", "traffic", "total")]
    cells[2] += f" ({roofline['level']})"
    return cells
