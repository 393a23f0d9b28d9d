"""What can be said and decided about images without any I/O."""
