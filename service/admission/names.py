"""The names that admission gives to things in the database."""

from typing import Final

ADMISSION_ROLE: Final = "openfactory_admission"
ADMISSION_SCHEMA: Final = "admission"
