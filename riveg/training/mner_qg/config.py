"""``riveg train mner-qg``: spans, existence and a region for each query, in one network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from riveg.training.mner_qg.settings import MnerQgTrainingSettings

if TYPE_CHECKING:
    from riveg.training.config import Course


class MnerQgTrainingConfig(MnerQgTrainingSettings):
    """MNER-QG: its settings, and its training."""

    def train(self, course: Course) -> str:
        """Trains, calibrates on dev, and writes the folder that ``extract: mner-qg`` loads.

        Returns:
            The text of its card.

        Raises:
            UserError: If the data, their boxes, encoder, backbone or device are not what they
                should be.
        """
        from riveg.training.looped import train_and_export
        from riveg.training.mner_qg.export import export_mner_qg
        from riveg.training.mner_qg.trainee import MnerQgTrainee

        return train_and_export(self, course, MnerQgTrainee, export_mner_qg)
