"""The live backend of a step."""

from __future__ import annotations

from riveg.config.backend import BuildContext
from riveg.config.extras import missing_package
from riveg.config.system import Step, SystemConfig
from riveg.errors import UserError
from riveg.pipeline import StageRunner


def require_packages(step: Step) -> None:
    """Makes sure that a backend's extra is there, before anything is loaded.

    Raises:
        UserError: Naming the backend, the package and the command that installs it.
    """
    package, command = missing_package(type(step.config))
    if package is not None:
        what = f"{step.stage.name}: {step.config.name}"
        raise UserError(f"{what} needs the package {package}: {command}")


def build_runner(
    config: SystemConfig, step: Step, context: BuildContext, *, batch_size: int
) -> StageRunner:
    """The live backend of one step of a system, ready to be asked."""
    return StageRunner(
        step,
        step.config.build(context),
        context.images,
        batch_size=batch_size,
        gated=any(other.stage.name == "entail" for other in config.steps),
    )
