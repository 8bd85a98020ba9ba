"""The table of what `python -m bench.run.images` has measured."""

from bench.lib.tables.common import conditions, table


def images_text(results):
    """Return the table of test accuracies, and how they were measured."""
    first, *_ = results["cases"]
    rows = []
    for case in results["cases"]:
        accuracy = case["accuracy"]
        mean = sum(accuracy) / len(accuracy)
        spread = f"{100 * min(accuracy):.2f} to {100 * max(accuracy):.2f} %"
        rows.append([case["name"], f"{100 * mean:.2f} %", spread, f"{case['seconds'] / first['seconds']:.2f}"])
    return f"""\
{table(["training", "test accuracy, mean", f"of {results['seeds']} seeds", "time of an epoch"], rows)}

A net of 784-256-128-10 units on {results["task"]}, {results["epochs"]} epochs, Adam with its default rate, batches of
128 rows; the accuracy after the last epoch, so nothing is chosen by the test images.
{conditions(results["machine"])}
`python -m bench.run.images` measures, `make docs-figures` writes this."""
