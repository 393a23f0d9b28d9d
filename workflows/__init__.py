"""Durable workflows: what happens next."""
