"""The experiments, one file each; the file is the text to read."""
