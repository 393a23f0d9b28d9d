"""Stand-ins for ports; each runs through the same contract test as the real adapter."""
