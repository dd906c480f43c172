"""The command line: one file a command, each reads arguments, calls the library, prints."""

from __future__ import annotations

import signal
import sys
from types import FrameType

import typer

from riveg.cli import data, doctor, predict, run, show, train, validate
from riveg.errors import RivegError

app = typer.Typer(
    name="riveg",
    help="Named entities in posts: what they are, where in the picture, and which pixels.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("run")(run.run)
app.command("predict")(predict.predict)
app.command("validate")(validate.validate)
app.command("doctor")(doctor.doctor)
app.add_typer(show.app, name="show")
app.add_typer(data.app, name="data")
app.add_typer(train.app, name="train")


@app.callback()
def options(
    context: typer.Context,
    debug: bool = typer.Option(False, "--debug", help="Show tracebacks and log what happens."),
) -> None:
    """Options of every command."""
    context.obj = debug
    if debug:
        import logging

        logging.basicConfig(level=logging.INFO, stream=sys.stderr)


def main() -> None:
    """Entry point of the ``riveg`` command: a user's mistake is one line and exit code 2."""
    signal.signal(signal.SIGTERM, _interrupt)
    debug = "--debug" in sys.argv
    try:
        app()
    except KeyboardInterrupt:
        _say("interrupted; give the same command again and it goes on where it stopped")
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except RivegError as error:
        if debug:
            raise
        _say(str(error))
        sys.exit(2)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _say(message: str) -> None:
    # The loggers of libraries may hold the terminal's encoding back: never die of a character.
    sys.stderr.write(f"riveg: {message}\n".encode("utf-8", "replace").decode("utf-8"))
