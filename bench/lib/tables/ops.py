"""Tables of what `python -m bench.run.ops` has measured."""

from bench.lib.tables.common import conditions, digits, table
from bench.lib.tables.limits import parts_of


def ops_table(record):
    """Return the ops of a step: time, share of the step, and the share of the time that the op needs at least."""
    rows = []
    for op in record["ops"]:
        floor = f"{op['floor'] / op['seconds']:.0%}" if op["floor"] and op["seconds"] > 0 else ""
        share = f"{max(0.0, op['seconds']) / record['seconds']:.1%}"
        rows.append([op["section"], op["op"], digits(1e6 * max(0.0, op["seconds"])), share, floor])
    rows.append(["", "the step", digits(1e6 * record["seconds"]), "", f"{share_of(record):.0%}"])
    return table(["section", "op", "µs", "share of the step", "of its roofline"], rows)


def share_of(record):
    """Return a step's roofline over its time."""
    return record["roofline"]["total"] / record["seconds"]


def steps_table(levels):
    """Return the parts of the steps' rooflines and the shares reached, from measurements at one ISA level or more."""
    rows = []
    for isa, record in ((results["machine"]["isa"], record) for results in levels for record in results["nets"]):
        row = [record["name"], str(record["batch"]), record["dtype"], isa, *parts_of(record["roofline"])]
        rows.append([*row, digits(1e6 * record["seconds"]), f"{share_of(record):.0%}"])
    parts = ("products, µs", "update: arithmetic", "traffic", "roofline", "measured", "share")
    return table(["net", "batch", "dtype", "level", *parts], rows)


def steps_text(*levels):
    """Return the table of steps and the picture of their products."""
    picture = "![Each product of a step under the roofline](figures/roofline.svg)"
    legend = "Each mark is a product of a step; the larger, the longer it takes."
    return f"{steps_table(levels)}\n\n{picture}\n\n{legend}\n\n{conditions(levels[0]['machine'])}"


def profile_text(results):
    """Return the ops of every net's step in float32."""
    shown = [record for record in results["nets"] if record["dtype"] == "float32"]
    return "\n\n".join(f"**{record['name']}**, {record['batch']} rows\n\n{ops_table(record)}" for record in shown)
