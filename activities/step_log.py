"""What an effect may say while it works."""

from typing import Protocol


class StepLog(Protocol):
    """Takes the output of a step as it comes. Both methods return at once and never fail."""

    def line(self, text: str) -> None:
        """Add one line to the step's log."""
        ...

    def progress(self, percent: float, text: str) -> None:
        """Tell how far the step is (0 to 100), and what it does now in a few words."""
        ...
