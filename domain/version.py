"""The factory's version, as every room states it."""

VERSION = "0.1.0"
