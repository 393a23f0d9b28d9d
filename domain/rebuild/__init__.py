"""Scheduled rebuilds: a recipe that is looked at again and again, and built when its packages have updates."""
