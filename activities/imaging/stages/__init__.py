"""Programs that run in a sandbox of their own and make one file each."""
