"""``riveg train crf-tagger``: an encoder that tags words, with a CRF, knowledge, two levels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from riveg.training.crf_tagger.settings import CrfTaggerSettings

if TYPE_CHECKING:
    from riveg.training.config import Course


class CrfTaggerTrainingConfig(CrfTaggerSettings):
    """A sequence tagger: its settings, and its training."""

    def train(self, course: Course) -> str:
        """Trains, calibrates on dev, and writes the folder that ``tag: crf`` loads.

        Returns:
            The text of its card.

        Raises:
            UserError: If the data, their knowledge, the encoder or the device are not what they
                should be.
        """
        from riveg.training.crf_tagger.export import export_tagger
        from riveg.training.crf_tagger.trainee import CrfTagger
        from riveg.training.looped import train_and_export

        return train_and_export(self, course, CrfTagger, export_tagger)
