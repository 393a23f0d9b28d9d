"""Measurements against a reference that runs in the same minutes on the same machine: ratios, never promises."""
