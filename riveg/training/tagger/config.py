"""``riveg train tagger``, as the table of trainees knows it."""

from __future__ import annotations

from riveg.training.config import Course
from riveg.training.tagger.settings import TaggerSettings


class TaggerTrainingConfig(TaggerSettings):
    """The settings, and what is done with them."""

    def train(self, course: Course) -> str:
        """See the base class; the files are ``model.onnx``, ``tokenizer.json``, ``tagger.json``."""
        from riveg.training.tagger.training import TaggerTraining

        return TaggerTraining(self, course).run()
