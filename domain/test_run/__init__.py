"""Test runs: what was checked on which machines, and what was found."""
