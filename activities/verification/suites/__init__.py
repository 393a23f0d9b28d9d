"""The default tests that every image has to pass before it is called verified."""
