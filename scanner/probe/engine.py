"""What a user's own model gives, whatever runs it."""

from __future__ import annotations

from abc import ABC, abstractmethod

from ..options import ProbeTask
from .canary import Model


class UserModel(ABC):
    """A model from a file.

    Attributes
    ----------
    kind
        What it is, for the report.
    wanted
        The shape of one sample that it reads; ``None`` for sides of any length.
    """

    kind: str
    wanted: tuple[int | None, ...]

    @property
    def image_sides(self) -> tuple[int | None, int | None]:
        """Height and width of the images that it reads, ``None`` where it takes any."""
        if len(self.wanted) == 3:
            last = self.wanted[2] in (1, 3, 4) and self.wanted[0] not in (1, 3, 4)
            return (self.wanted[0], self.wanted[1]) if last else (self.wanted[1], self.wanted[2])
        if len(self.wanted) == 2:
            return self.wanted[0], self.wanted[1]
        return None, None

    @abstractmethod
    def prepared(self, shape: tuple[int, ...], task: ProbeTask) -> Model:
        """The model for samples of a shape that it reads, with the loss of a task."""
