"""The table of what `python -m bench.run.images` has measured."""

from bench.lib.tables.common import conditions, table


def images_text(results):
    """Return the table of test accuracies and losses, and how they were measured."""
    rows = []
    for case in results["cases"]:
        accuracy, loss = case["accuracy"], case["loss"]
        percents = [100 * sum(accuracy) / len(accuracy), 100 * min(accuracy), 100 * max(accuracy)]
        losses = [sum(loss) / len(loss), min(loss), max(loss)]
        texts = ("{:.1f} % ({:.1f} to {:.1f})".format(*percents), "{:.2f} ({:.2f} to {:.2f})".format(*losses))
        rows.append([case["name"], *texts])
    return f"""\
{table(["training", "test accuracy", "test loss"], rows)}

Means and ranges of {results["seeds"]} seeds. A net of 784-256-128-10 units on {results["task"]}, {results["epochs"]}
epochs, Adam with its default rate, batches of 128 rows; after the last epoch, so nothing is chosen by the test images.
{conditions(results["machine"])}
`python -m bench.run.images` measures, `make docs-figures` writes this."""
