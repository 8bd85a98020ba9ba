"""Plants for the experiments of the first half of post 001."""

from lab.plants.p002_004 import exchanged, setting

PLANTS = {
    "batches": [exchanged("8 rows", "128 rows", table="SIZES"), setting("RATES", (0.001,))],
}
