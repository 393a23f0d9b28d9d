"""A saved recipe: an organization's own, kept under its name beside the built-in templates."""
