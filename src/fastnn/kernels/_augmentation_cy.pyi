from fastnn._typing import Array

def add_noise(x: Array, out: Array, std: float, seed: int, stream: int, step: int, threads: int) -> None: ...
def drop_features(x: Array, out: Array, p: float, seed: int, stream: int, step: int, threads: int) -> None: ...
def swap_entries(x: Array, out: Array, p: float, seed: int, stream: int, step: int, threads: int) -> None: ...
def swap_ids(ids: Array, out: Array, k: int, column: int, p: float, seed: int, stream: int, step: int) -> None: ...
def mixup_pairs(partner: Array, share: Array, quantiles: Array, seed: int, stream: int, step: int) -> None: ...
def mix_rows(x: Array, partner: Array, share: Array, out: Array, threads: int) -> None: ...
def shift_images(
    x: Array,
    out: Array,
    layout: tuple[int, int, int, int],
    most: tuple[int, int],
    fill: float,
    edge: bool,
    seed: int,
    stream: int,
    step: int,
    threads: int,
) -> None: ...
def flip_images(
    x: Array,
    out: Array,
    layout: tuple[int, int, int, int],
    p: float,
    vertical: bool,
    seed: int,
    stream: int,
    step: int,
    threads: int,
) -> None: ...
