"""Hostile input: recipes, suites and tool arguments by the thousand; none gives an unhandled error."""
