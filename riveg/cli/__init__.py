"""The command line: one file a command, each reads arguments, calls the library, prints."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from types import FrameType

import typer

from riveg.cli import (
    calibrate,
    compare,
    data,
    doctor,
    evaluate,
    export,
    fetch,
    merge,
    predict,
    prompt_debug,
    report,
    rewards,
    run,
    show,
    status,
    train,
    validate,
)
from riveg.cli.visible import visible
from riveg.errors import RivegError

app = typer.Typer(
    name="riveg",
    help="Named entities in posts: what they are, where in the picture, and which pixels.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run")(run.run)
app.command("merge")(merge.merge)
app.command("predict")(predict.predict)
app.command("eval")(evaluate.evaluate)
app.command("compare")(compare.compare)
app.command("calibrate")(calibrate.calibrate)
app.command("export")(export.export)
app.command("report")(report.report)
app.command("prompt-debug")(prompt_debug.prompt_debug)
app.command("fetch")(fetch.fetch)
app.command("train")(train.train)
app.command("status")(status.status)
app.command("validate")(validate.validate)
app.command("doctor")(doctor.doctor)
app.add_typer(show.app, name="show")
app.add_typer(data.app, name="data")
app.add_typer(rewards.app, name="rewards")


def _print_version(asked: bool) -> None:
    from riveg import __version__

    if asked:
        typer.echo(f"riveg {__version__}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    debug: bool = typer.Option(False, "--debug", help="Show tracebacks and log what happens."),
    _version: bool = typer.Option(
        False, "--version", help="Show the version.", is_eager=True, callback=_print_version
    ),
) -> None:
    """Options of every command."""
    import logging

    context.obj = debug
    if debug:
        logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    else:
        # Without any handler, Python prints warnings and their tracebacks by itself.
        logging.getLogger("riveg").addHandler(logging.NullHandler())


def main() -> None:
    """Entry point of the ``riveg`` command: a user's mistake is one line and exit code 2."""
    _listen_to_signals()
    _escape_what_cannot_be_shown()
    debug = "--debug" in sys.argv
    try:
        app()
    except SystemExit as end:
        if end.code == _INTERRUPTED:  # typer has turned the KeyboardInterrupt into it
            _say("interrupted" + how_to_go_on(sys.argv[1:]))
        raise
    except BaseException as error:
        line = _line_of(error)
        if debug or line is None:
            raise
        _say(line)
        if isinstance(error, OSError):
            _close_stdout()
        sys.exit(2)


def _line_of(error: BaseException) -> str | None:
    """What a user is told of an error; ``None`` for one that is riveg's own mistake."""
    if isinstance(error, RivegError):
        return str(error)
    if isinstance(error, MemoryError):
        return (
            "out of memory; end other programs or do less at once (batch_size), then give the "
            "same command again"
        )
    if isinstance(error, OSError):
        return _reason_of(error)
    # Libraries in Rust panic with an error that is no Exception, tokenizers for one.
    if type(error).__name__ == "PanicException":
        return (
            f"a library gave up ({' '.join(str(error).split())[:300]}); if it names a regular "
            "expression, that of a model's tokenizer.json takes too long: do not use the model"
        )
    return None


_INTERRUPTED = 130
_GOES_ON = {
    "run": "; give the same command again and it goes on where it stopped",
    "train": "; with --resume it goes on after its last checkpoint, if it has written one",
}


def how_to_go_on(arguments: Sequence[str]) -> str:
    """What is said of an interrupted command that keeps what it has done; of others nothing."""
    words = [word for word in arguments if not word.startswith("-")]
    return _GOES_ON.get(words[0], "") if words else ""


def _escape_what_cannot_be_shown() -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _reason_of(error: OSError) -> str:
    from riveg.files import is_lack_of_room, what_to_do

    # Whatever writes a file names it; what is printed has no name.
    place = error.filename or ("output" if is_lack_of_room(error) else None)
    what = f"{place}: " if place else ""
    return f"{what}{error.strerror or error}; {what_to_do(error)}"


def _close_stdout() -> None:
    # If it was the output that could not be written, Python would try again at its end.
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _listen_to_signals() -> None:
    """Signals that end a process end it as Ctrl-C does: what it began to write is removed."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # nohup asks that
            signal.signal(number, _interrupt)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _say(message: str) -> None:
    # The loggers of libraries may hold the terminal's encoding back: never die of a character.
    line = f"riveg: {visible(message, keep=chr(10))}\n"
    sys.stderr.write(line.encode("utf-8", "replace").decode("utf-8"))
