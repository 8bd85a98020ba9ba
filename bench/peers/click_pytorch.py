"""PyTorch's steps of the click-through net, in several forms.

A form is a way to read the tables and one to run Adam, both eager. Which one is fastest depends on the machine:
`bench.lib.peer_cases` measures the fastest. In all forms ids are integers before the training begins; with one table
they are row numbers of it. Sparse updates are `SparseAdam` for the tables and Adam for the rest.
"""

import functools
import itertools

from bench.peers.shared import BETAS, EPS, LR, first_batches


def a_table_per_column(torch, tables, ids, sparse):
    """Return ids, tables, and a function of a batch's ids that returns their vectors, by `torch.nn.Embedding`."""
    layers = [torch.nn.Embedding.from_pretrained(table, freeze=False, sparse=sparse) for table in tables]

    def read(ids):
        return [layer(column) for layer, column in zip(layers, ids.unbind(1), strict=True)]

    return ids, [layer.weight for layer in layers], read


def _joined(torch, tables, ids):
    """Return one table of all rows, and the rows that the ids have in it."""
    starts = torch.tensor([0, *itertools.accumulate(map(len, tables))][:-1])
    return torch.cat(tables), ids + starts


def one_table(torch, tables, ids, sparse):
    """The same with the tables in a single `torch.nn.Embedding`."""
    table, ids = _joined(torch, tables, ids)
    layer = torch.nn.Embedding.from_pretrained(table, freeze=False, sparse=sparse)
    return ids, [layer.weight], lambda ids: [layer(ids).flatten(1)]


def one_table_of_bags(torch, tables, ids, sparse):
    """The same with `torch.nn.EmbeddingBag`, each bag of one category."""
    table, ids = _joined(torch, tables, ids)
    layer = torch.nn.EmbeddingBag.from_pretrained(table, freeze=False, mode="sum", sparse=sparse)
    return ids, [layer.weight], lambda ids: [layer(ids.view(-1, 1)).view(len(ids), -1)]


def _dense_layers(torch, dense):
    layers = []
    for weight, bias in dense:
        layer = torch.nn.Linear(*weight.shape)
        layer.load_state_dict({"weight": torch.from_numpy(weight.T), "bias": torch.from_numpy(bias)})
        layers += [layer, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def make_steps(config, net, X, y, order, steps, tables_of, adam):
    """Return the steps of a form: `tables_of` reads the tables, `adam` is an option of Adam, "fused" or "foreach"."""
    import torch

    torch.set_num_threads(1)
    numbers, ids = map(torch.from_numpy, config.split(X))
    tables, dense = config.weights(net)
    ids, tables, read = tables_of(torch, list(map(torch.from_numpy, tables)), ids, config.sparse)
    model = _dense_layers(torch, dense)
    settings = {"lr": LR, "betas": BETAS, "eps": EPS}
    whole = [*model.parameters(), *([] if config.sparse else tables)]
    optimizers = [torch.optim.Adam(whole, **settings, **{adam: True})]
    if config.sparse:
        optimizers.append(torch.optim.SparseAdam(tables, **settings))
    y, order = map(torch.from_numpy, (y, order))
    batches = order[: len(order) // config.batch * config.batch].reshape(-1, config.batch)
    first = first_batches(config, order, steps)

    def run():
        start = next(first)
        for rows in batches[start : start + steps]:
            z = model(torch.cat([numbers.index_select(0, rows), *read(ids.index_select(0, rows))], 1))
            loss = torch.nn.functional.binary_cross_entropy_with_logits(z, y.index_select(0, rows))
            for optimizer in optimizers:
                optimizer.zero_grad()
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()
        return loss.item()

    return run


# What follows "PyTorch with" in the name of a form -> its steps.
FORMS = {
    f"{tables_of.__name__.replace('_', ' ')} and {adam} Adam": functools.partial(
        make_steps, tables_of=tables_of, adam=adam
    )
    for tables_of in (a_table_per_column, one_table, one_table_of_bags)
    for adam in ("fused", "foreach")
}
