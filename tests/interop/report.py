"""What was checked: a line for every check that held, and the one that did not.

Every other module reports here. Invariant: the first check that does not hold ends the run under its own name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TextIO

NAME_WIDTH = 24


class CheckFailed(Exception):
    """The check `name` does not hold, and why."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name}: {why}")
        self.name = name
        self.why = why


@dataclass
class Report:
    """Prints each check as it holds; `out` is None where only the outcome matters."""

    out: TextIO | None
    count: int = 0

    def note(self, name: str, what: str) -> None:
        """A line of the table that checks nothing."""
        if self.out is not None:
            print(f"{name:<{NAME_WIDTH}} {what}", file=self.out, flush=True)

    def held(self, name: str, what: str) -> None:
        """Records that `name` held."""
        self.count += 1
        self.note(name, what)

    def require(self, name: str, holds: bool, what: str, why: str) -> None:
        """Records `what` where it holds, else ends the run with `why`."""
        if not holds:
            raise CheckFailed(name, why)
        self.held(name, what)
