"""``riveg show``: what there is to choose from, and what a run holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from riveg.cli.font_option import FONT, open_fonts, print_font_note
from riveg.cli.numbers import MOST_COUNTED
from riveg.cli.places import opened

if TYPE_CHECKING:
    from rich.console import Console

    from riveg.config.system import Step
    from riveg.llm.endpoint import Endpoint
    from riveg.llm.prompts import Prompt
    from riveg.runs.reading import StageAnswer

app = typer.Typer(no_args_is_help=True, help="What exists, and what a run holds.")


@app.command()
def systems() -> None:
    """The systems that come with riveg."""
    from riveg.cli.tables import Rows
    from riveg.config.reader import load_config
    from riveg.config.system import shipped_systems

    table = Rows("system", "stages", "what it is")
    for name in shipped_systems():
        config = load_config(name)
        stages = ", ".join(f"{step.stage.name}: {step.config.name}" for step in config.steps)
        table.add(name, stages, config.description)
    table.print()


@app.command()
def datasets() -> None:
    """The datasets that riveg knows by name."""
    from riveg.cli.tables import Rows
    from riveg.datasets.config import shipped_datasets

    table = Rows("dataset", "version", "splits", "what it is")
    for name, description in shipped_datasets().items():
        splits = ", ".join(description.text)
        table.add(name, description.version or "", splits, description.description)
    table.print()


@app.command()
def backends() -> None:
    """Every backend of every stage, and whether its packages are here."""
    from riveg.cli.tables import Rows, plain, stdout
    from riveg.config.extras import backend_states

    table = Rows("stage", "backend", "works", "what it is")
    commands: dict[str, str] = {}
    last = ""
    for state in backend_states():
        works = "yes"
        if state.fault:
            works = f"no: {state.fault}"
        elif state.missing:
            brought_by = state.missing.extra or state.missing.package
            works = f"no: {brought_by}"
            commands[brought_by] = state.missing.command
        table.add(state.stage if state.stage != last else "", state.name, works, state.summary)
        last = state.stage
    table.print()
    for brought_by, command in commands.items():
        stdout().print(plain(f"{brought_by}: {command}"), soft_wrap=True)


@app.command()
def trainees() -> None:
    """What `riveg train` makes."""
    from riveg.cli.tables import Rows
    from riveg.training.trainees import TRAINEES, trainee_config

    table = Rows("trainee", "what it makes")
    for name in sorted(TRAINEES):
        table.add(name, trainee_config(name).summary)
    table.print()


@app.command()
def prompts(
    name: str | None = typer.Argument(
        None, help="A prompt, or a .jinja file: shows its variables and its text."
    ),
    raw: bool = typer.Option(False, "--raw", help="With a prompt: only its file, as it is."),
    copy_to: Path | None = typer.Option(
        None, metavar="FILE", help="With a prompt: a copy of its file, to change and to name."
    ),
) -> None:
    """The prompts that come with riveg. With a name, everything about one."""
    from riveg.cli.tables import Rows
    from riveg.errors import UserError
    from riveg.llm.prompts import load_prompt, shipped_prompts

    if name is None and (raw or copy_to):
        raise UserError("--raw and --copy-to are about one prompt: name it")
    if name is not None:
        prompt = load_prompt(name)
        if copy_to is not None:
            _copy(prompt, copy_to)
        elif raw:
            typer.echo(prompt.source.encode(), nl=False)
        else:
            _print_prompt(prompt)
        return
    table = Rows("prompt", "variables", "fingerprint")
    for known in shipped_prompts():
        prompt = load_prompt(known)
        table.add(known, ", ".join(sorted(prompt.variables)), prompt.fingerprint[:12])
    table.print()


def _copy(prompt: Prompt, path: Path) -> None:
    from riveg.cli.visible import visible
    from riveg.errors import UserError
    from riveg.files import write_atomically

    if path.suffix != ".jinja":
        raise UserError(f"{path}: expected the name of a .jinja file")
    if path.exists():
        raise UserError(f"{path}: is there already; choose another name")
    write_atomically(path, [prompt.source.encode()])
    typer.echo(visible(f"written {path}; use it with --set STAGE.prompt={path}"))


def _print_prompt(prompt: Prompt) -> None:
    from rich.text import Text

    from riveg.cli.tables import Rows, plain, stdout
    from riveg.cli.visible import visible

    console = stdout()
    console.print(plain(prompt.name), style="bold")
    console.print(plain(f"file         {prompt.path}"), soft_wrap=True)
    console.print(plain(f"fingerprint  {prompt.fingerprint}"), soft_wrap=True)
    console.print()
    blocks = Rows("block", "variables")
    for block, variables in prompt.blocks.items():
        blocks.add(block, ", ".join(sorted(variables)) or "-")
    blocks.print()
    for title, text in (("about", prompt.about), ("text", _body(prompt))):
        if text:
            console.print()
            console.print(title, style="bold")
            console.print(Text(visible(text, keep="\n"), overflow="fold"))


def _body(prompt: Prompt) -> str:
    """The file's text without the comment at its head, which is shown separately."""
    head, end, rest = prompt.source.partition("#}")
    return rest.strip("\n") if end and prompt.about and prompt.about in head else prompt.source


@app.command()
def models(
    system: str | None = typer.Argument(None, help="Only those of this system, or YAML file."),
) -> None:
    """The models of systems. Ids, pinned revisions, licences, gated or not, where they are."""
    from riveg.checkpoints.fetching import system_models
    from riveg.cli.fetch import print_models
    from riveg.cli.tables import plain, stdout
    from riveg.config.reader import load_config
    from riveg.config.system import shipped_systems

    console = stdout()
    named = (system,) if system is not None else tuple(shipped_systems())
    found = [(config, system_models(config)) for config in map(load_config, named)]
    found = [(config, models) for config, models in found if models]
    for config, models in found:
        console.print(plain(config.name), style="bold")
        print_models(models)
        for llm, endpoint in config.llm.items():
            stages = [step.stage.name for step in config.steps if _llm_of(step) == llm]
            usage = f"{llm} is asked by {', '.join(stages) or 'no stage'}"
            console.print(plain(f"{usage} ({_reached_by(endpoint)})"), style="dim")
        for model in models:
            if model.folder is not None:
                place = f"{model.used_by}: {model.folder}"
                console.print(plain(place), style="dim", soft_wrap=True)
        console.print()
    if not found:
        what = system or "no shipped system"
        console.print(plain(f"{what} needs no model but those that come with riveg"))


def _llm_of(step: Step) -> str | None:
    from riveg.config.system import LLM_FIELD

    return getattr(step.config, LLM_FIELD, None)


def _reached_by(endpoint: Endpoint) -> str:
    if endpoint.serve is not None:
        return f"serve: {endpoint.serve.engine}"
    return ", ".join(endpoint.base_urls) or endpoint.engine


@app.command()
def schema(name: str = typer.Argument(help="record, evaluation, comparison, export ...")) -> None:
    """The JSON schema of what a command writes with --json."""
    import json

    from riveg.cli.documents import schema_of

    typer.echo(json.dumps(schema_of(name), indent=1, ensure_ascii=False))


@app.command("run")
def show_run(
    folder: Path = typer.Argument(help="A run folder.", callback=opened),
    id: str | None = typer.Option(None, "--id", help="Every stage's answer about this sample."),
    image: Path | None = typer.Option(
        None, "--image", help="With --id: draws the answer over the picture, into this PNG file."
    ),
    heat: bool = typer.Option(
        False, "--heat", help="With --image: what drew the eye of `ground: itm-gradcam`, too."
    ),
    font: Path | None = FONT,
    limit: int = typer.Option(40, min=1, max=MOST_COUNTED, help="At most so many samples."),
) -> None:
    """A run's answers, or how far it is; with --id, all of one sample."""
    from itertools import islice

    from riveg.cli.status import status_page
    from riveg.cli.tables import entity_table, plain, stdout
    from riveg.cli.visible import counted
    from riveg.errors import UserError
    from riveg.formats.run_records import is_finished, read_manifest
    from riveg.runs.overlays import write_overlay
    from riveg.runs.reading import read_records, stage_answers, stages_without_answers
    from riveg.runs.status import run_status

    console = stdout()
    if heat and image is None:
        raise UserError("--heat paints heat maps on a picture: say where with --id and --image")
    if id is not None:
        answers = stage_answers(folder, id)
        if image is not None:
            fonts = open_fonts(font)
            write_overlay(folder, id, image, fonts, heat=heat)
            print_font_note(fonts)
        _print_answers(console, answers)
        lacking = stages_without_answers(folder, answers)
        if lacking:
            text = f"no answer of this run yet: {', '.join(lacking)}"
            console.print(plain(text), style="yellow")
        return
    if image is not None:
        raise UserError("--image draws one sample: say which with --id")
    manifest = read_manifest(folder)
    if manifest and not is_finished(manifest):
        console.print(status_page(run_status(folder)))
    records = read_records(folder)
    console.print(entity_table(islice(records, limit)))
    rest = sum(1 for _ in records)
    if rest:
        console.print(f"and {counted(rest, 'more sample')} (partial: --limit {limit})")


def _print_answers(console: Console, answers: tuple[StageAnswer, ...]) -> None:
    from riveg.cli.answers import stage_lines
    from riveg.cli.tables import plain

    sample = answers[0].sample
    console.print(plain(sample.text))
    if sample.image is not None:
        last = answers[-1].sample.image
        sides = f" {last.width}x{last.height}" if last and last.width else ""
        console.print(plain(f"{sample.image.path}{sides}"), style="dim")
    seen = 0
    for answer in answers:
        title = f"{answer.stage} ({answer.backend})" if answer.backend else answer.stage
        console.print(title, style="bold")
        for line in stage_lines(answer):
            console.print("  ", plain(line), sep="")
        for issue in answer.sample.issues[seen:]:
            where = f" {issue.entity_id}" if issue.entity_id else ""
            text = f"  issue{where}: {issue.kind}: {issue.message}"
            console.print(plain(text), style="red")
        seen = len(answer.sample.issues)
