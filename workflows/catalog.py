"""Every workflow there is: what core workers run and what a history can be replayed against."""

from workflows.build import BuildWorkflow
from workflows.validate import ValidateRecipeWorkflow

WORKFLOWS: tuple[type, ...] = (BuildWorkflow, ValidateRecipeWorkflow)
