"""``riveg prompt-debug``: what a prompt makes of a few posts, and what another would change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from riveg.cli.data_options import COLUMN
from riveg.cli.numbers import MOST_COUNTED
from riveg.cli.places import opened

if TYPE_CHECKING:
    from riveg.config.system import SystemConfig
    from riveg.prompt_debug.debugger import PromptDebugger
    from riveg.prompt_debug.document import PromptDebug
    from riveg.prompt_debug.samples import ChosenSamples

_ANSWERS = Path("runs") / "prompt-debug" / "answers.sqlite"


def prompt_debug(
    system: str = typer.Argument(help="A shipped system or a YAML file."),
    data: list[str] = typer.Option(
        [], metavar="DATA", help="A dataset, as for riveg run; may be repeated."
    ),
    split: str | None = typer.Option(None, help="Split of the dataset."),
    images: Path | None = typer.Option(None, help="Folder that the pictures' paths start from."),
    column: list[str] = COLUMN,
    ids: str | None = typer.Option(None, metavar="A,B", help="The posts with these ids."),
    sample: int | None = typer.Option(
        None,
        min=1,
        max=MOST_COUNTED,
        metavar="N",
        help="N posts drawn at random, the same each time.",
    ),
    run: Path | None = typer.Option(
        None,
        help="A run folder: its records before the stage, and its answers.",
        callback=opened,
    ),
    text: str | None = typer.Option(None, help="A post's text."),
    image: Path | None = typer.Option(None, help="With --text: its picture."),
    caption: str | None = typer.Option(None, help="With --text: what the picture shows."),
    stage: str | None = typer.Option(
        None,
        help="The stage (default: rewrite, or the first that asks a language model); "
        "of review one prompt: review.span, review.type or review.region.",
    ),
    prompt: str | None = typer.Option(
        None, metavar="FILE", help="Look at this prompt, not at the system's."
    ),
    diff: str | None = typer.Option(
        None, metavar="FILE", help="Compare with this prompt, answer by answer."
    ),
    ask: bool = typer.Option(False, "--ask", help="Send the questions that have no answer yet."),
    watch: bool = typer.Option(
        False, "--watch", help="Show it anew whenever a prompt file is saved; ends with Ctrl-C."
    ),
    html: Path | None = typer.Option(None, metavar="FILE", help="Write it as a page, too."),
    answers: Path | None = typer.Option(
        None, metavar="FILE", help=f"Where answers are kept (default: {_ANSWERS}, or the run's)."
    ),
    gold: str | None = typer.Option(None, help="With --run: the dataset whose gold judges it."),
    overrides: list[str] = typer.Option(
        [], "--set", metavar="STAGE.KEY=VALUE", help="Change the system; may be repeated."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print everything as JSON."),
) -> None:
    """Show what a prompt makes of posts: messages, answers. Sends nothing without --ask."""
    from riveg.config.reader import load_config
    from riveg.errors import UserError
    from riveg.prompt_debug.debugger import debugged_step, upstream_of
    from riveg.prompt_debug.samples import sample_of_text

    config = load_config(system, overrides)
    step = debugged_step(config, stage)
    wanted = [one.strip() for one in (ids or "").split(",") if one.strip()]
    sources = [name for name, value in (("run", run), ("text", text)) if value is not None]
    if (data and sources) or len(sources) > 1:
        raise UserError("say one of --data, --run and --text")
    if text is not None:
        chosen = sample_of_text(text, image, caption)
    elif run is not None:
        chosen = _of_run(run, upstream_of(config, step), wanted, sample, gold, split)
    else:
        chosen = _of_data(config, data, split, images, column, wanted, sample)
    cache = answers or (_ANSWERS if run is None else run / _ANSWERS.name)
    prompts = [prompt] if diff is None else [prompt, diff]
    with _debugger(config, chosen, cache, stage or step.stage.name, asks=ask) as debugger:
        show = _shower(html, images=chosen.image_roots, as_json=as_json)
        if watch:
            _watch(debugger, prompts, show)
        else:
            show(debugger.look(*prompts))


def _of_data(
    config: SystemConfig,
    data: list[str],
    split: str | None,
    images: Path | None,
    column: list[str],
    ids: list[str],
    sample: int | None,
) -> ChosenSamples:
    from riveg.datasets.column_names import parse_choice
    from riveg.datasets.opening import open_dataset
    from riveg.errors import UserError
    from riveg.prompt_debug.samples import samples_of_data

    named = data or ([] if config.data is None else [config.data])
    if not named:
        raise UserError(f"{config.file}: names no data; say which with --data, --run or --text")
    dataset = open_dataset(named, split=split, images=images, columns=parse_choice(column))
    return samples_of_data(dataset, ids=ids, sample=sample)


def _of_run(
    folder: Path,
    upstream: tuple[str, ...],
    ids: list[str],
    sample: int | None,
    gold: str | None,
    split: str | None,
) -> ChosenSamples:
    from riveg.prompt_debug.samples import samples_of_run

    return samples_of_run(folder, upstream, ids=ids, sample=sample, gold=gold, split=split)


@contextmanager
def _debugger(
    config: SystemConfig, chosen: ChosenSamples, answers: Path, stage: str, *, asks: bool
) -> Iterator[PromptDebugger]:
    from riveg.files import make_folder
    from riveg.images.loader import ImageLoader
    from riveg.llm.pool import Models
    from riveg.llm.response_cache import ResponseCache
    from riveg.prompt_debug.debugger import PromptDebugger

    if asks:
        make_folder(answers.parent)
    images = ImageLoader(chosen.image_roots)
    with (
        ResponseCache(answers) as cache,
        Models(config.llm, cache=cache, images=images, say=_say) as chats,
    ):
        yield PromptDebugger(config, chosen, chats, images, stage=stage, asks=asks)


def _say(text: str) -> None:
    from riveg.cli.visible import visible

    typer.echo(visible(text), err=True)


def _shower(
    html: Path | None, *, images: tuple[Path, ...], as_json: bool
) -> Callable[[PromptDebug], None]:
    def show(found: PromptDebug) -> None:
        from riveg.cli.json_output import write_json
        from riveg.cli.prompt_sheet import print_prompt_debug
        from riveg.prompt_debug.builder import write_page

        if html is not None:
            write_page(found, html, images)
        if as_json:
            write_json(found, "-")
            return
        print_prompt_debug(found)
        if html is not None:
            from riveg.cli.tables import plain, stdout

            stdout().print(plain(f"written {html}"), soft_wrap=True)

    return show


def _watch(
    debugger: PromptDebugger, prompts: list[str | None], show: Callable[[PromptDebug], None]
) -> None:
    """Shows it, and again after each save; a mistake in a prompt is shown and does not end it."""
    from riveg.cli.tables import stdout
    from riveg.errors import RivegError
    from riveg.prompt_debug.watching import changes

    console = stdout()
    paths = [debugger.prompt_path(prompt) for prompt in prompts]
    try:
        for _ in changes(paths):
            if console.is_terminal:
                console.clear()
            try:
                show(debugger.look(*prompts))
            except RivegError as error:
                _say(f"riveg: {error}")
            names = " and ".join(path.name for path in paths)
            _say(f"watching {names}; Ctrl-C ends it")
    except KeyboardInterrupt:
        return
