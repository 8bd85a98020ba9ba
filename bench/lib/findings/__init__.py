"""The pictures of docs/findings.md: for each kind of finding a small training that has it, and the same one mended."""

from bench.lib.findings import data, layers, outputs, training

# Kind -> the function that draws its picture, in the order of `fastnn.diagnosis.KINDS`' groups.
PICTURES = {**data.PICTURES, **outputs.PICTURES, **layers.PICTURES, **training.PICTURES}
