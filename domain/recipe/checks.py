"""Meaning: what a recipe's types cannot say. (`default_packages` is offered here too.)"""

from domain.recipe.defaults import default_packages

__all__ = ["default_packages"]
