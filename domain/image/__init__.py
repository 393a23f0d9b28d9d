"""Images that were uploaded, not built."""
