"""``riveg train vlm``: LoRA fine-tuning of a vision-language model for a stage."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

from riveg.training.vlm.settings import VlmSettings

if TYPE_CHECKING:
    from riveg.training.config import Course


class VlmTrainingConfig(VlmSettings):
    """A vision-language model: its settings, and its training."""

    def train(self, course: Course) -> str:
        """Trains, and writes the adapter, or whole weights, into the folder.

        Returns:
            The text of its card.

        Raises:
            UserError: If the data, the model, an adapter or the device are not what they should be,
                or ``out`` holds what would be taken for a part of what comes out.
        """
        from riveg.training.loop import train
        from riveg.training.training import process_rank
        from riveg.training.vlm.export import export, require_own_form
        from riveg.training.vlm.trainee import VlmTrainee
        from riveg.vision.runtime.loading import place

        require_own_form(self)
        placement = place(self.loop.device, self.dtype)
        trainee = VlmTrainee(self, course)
        trained = train(trainee, self.loop, course.work, progress=course.progress)
        if process_rank():
            return ""  # the first process writes
        gc.collect()  # the Trainer holds the network in a circle, and there is room for one
        network = trainee.network().to(placement.device)
        trained.load_into(network)
        return export(trainee, network.eval(), trained, course.out)
