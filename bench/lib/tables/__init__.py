"""Markdown tables of what the commands have measured: one module for each command, and what they share."""
