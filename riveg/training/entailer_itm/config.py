"""``riveg train entailer-itm``: a published matcher of texts and images learns gold boxes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from riveg.training.entailer_itm.settings import EntailerItmSettings

if TYPE_CHECKING:
    from riveg.training.config import Course


class EntailerItmTrainingConfig(EntailerItmSettings):
    """An entailer: its settings, and its training."""

    def train(self, course: Course) -> str:
        """Trains, calibrates on dev, and writes the folder that ``entail`` loads.

        Returns:
            The text of its card.

        Raises:
            UserError: If the data, the expressions, the model or the device are not what they
                should be.
        """
        from riveg.training.entailer_itm.export import export_entailer
        from riveg.training.entailer_itm.trainee import EntailerItm
        from riveg.training.looped import train_and_export

        return train_and_export(self, course, EntailerItm, export_entailer)
