"""The build: how a recipe becomes verified images, as events and decisions."""
