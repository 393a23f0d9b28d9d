"""Recipes: what an image should be, in the canonical form."""
