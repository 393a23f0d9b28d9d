"""Test suites: what to check on machines whose images may not exist yet."""
