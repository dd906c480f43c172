"""What is alike around the loop for most of what is trained on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from riveg.training.config import Course
from riveg.training.loop import Trained, train
from riveg.training.loop_arguments import require_there
from riveg.training.loop_settings import LoopSettings
from riveg.training.trainee import Trainee


class Looped(Protocol):
    """A configuration of what learns on the loop."""

    @property
    def loop(self) -> LoopSettings: ...


ConfigT = TypeVar("ConfigT", bound=Looped)
TraineeT = TypeVar("TraineeT", bound=Trainee[Any])


def train_and_export(
    config: ConfigT,
    course: Course,
    make: Callable[[ConfigT, Course], TraineeT],
    export: Callable[[TraineeT, Any, Trained, Path], str],
) -> str:
    """Makes a trainee, trains it, and writes its folder with the best weights.

    Args:
        config: What is trained, with its ``loop``.
        course: On what.
        make: The trainee.
        export: Given the trainee, its network in evaluation mode, how the training went and the
            folder, which exists, writes the folder.

    Returns:
        The text of the card, which ``export`` gives.

    Raises:
        UserError: If the device is not there; and whatever ``make`` and ``export`` raise.
    """
    require_there(config.loop)
    trainee = make(config, course)
    trained = train(trainee, config.loop, course.work, progress=course.progress)
    network = trainee.network()
    trained.load_into(network)
    return export(trainee, network.eval(), trained, course.out)
