"""``riveg train grounder``: boxes for phrases, as ``ground: grounding-dino`` asks for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from riveg.training.grounder.settings import GrounderTrainingSettings

if TYPE_CHECKING:
    from riveg.training.config import Course


class GrounderTrainingConfig(GrounderTrainingSettings):
    """A grounder: its settings, and its training."""

    def train(self, course: Course) -> str:
        """Trains, and writes the folder that ``ground: grounding-dino`` loads.

        Returns:
            The text of its card.

        Raises:
            UserError: If the model, the data, the runs or the device are not what they should be.
        """
        from riveg.training.grounder.export import export_grounder
        from riveg.training.grounder.trainee import GrounderTrainee
        from riveg.training.looped import train_and_export

        return train_and_export(self, course, GrounderTrainee, export_grounder)
