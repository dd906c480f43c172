"""Prompts: one Jinja file each, with named blocks, rendered in a sandbox.

A prompt file opens with a comment (its purpose, its variables, its source) and holds only blocks:
``system``, ``user``, ``examples``, or others that its backend reads. Text of a sample enters as a
value, so ``{{ }}`` in a sample stays text. Whatever a prompt does, rendering it takes little time
and memory (:mod:`riveg.llm.prompt_sandbox`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from jinja2 import Environment, Template, TemplateSyntaxError, meta, nodes
from jinja2.defaults import DEFAULT_NAMESPACE

from riveg.errors import UserError, suggest
from riveg.files import read_regular_text, shipped, text_digest
from riveg.llm.borders import Borders, borders_of
from riveg.llm.prompt_bounds import LARGEST
from riveg.llm.prompt_sandbox import TooLong, compiled, rendered, sandbox

SUFFIX = ".jinja"

_OTHER_FILES = (nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport)

_LONGEST_FILE = 200_000
"""Most characters of a prompt file."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt file, parsed and checked.

    ``blocks`` names each block with the variables it uses, in file order; ``borders`` has those
    that each block writes; ``about`` is the comment at the head of the file.
    """

    name: str
    path: Path
    source: str
    about: str
    blocks: Mapping[str, frozenset[str]]
    borders: Mapping[str, Borders]
    _template: Template = field(repr=False, compare=False)

    @property
    def variables(self) -> frozenset[str]:
        """Every variable of any block."""
        return frozenset().union(*self.blocks.values())

    @property
    def fingerprint(self) -> str:
        """Hex digest of the file's text, whatever its line ends."""
        return text_digest(self.source)

    def render(self, block: str, **values: object) -> str:
        """The text of one block, without its last line end.

        Args:
            block: One of ``blocks``.
            **values: All variables of the block; more are allowed, a prompt need not use all.

        Raises:
            UserError: If the block is unknown, a variable has no value, or the template fails on
                these values.
        """
        self.require(block, values)
        context = self._template.new_context(values)
        try:
            return rendered(self._template.blocks[block](context)).removesuffix("\n")
        except TooLong as error:
            raise UserError(f"{self.path}: block {block!r} {error}") from error
        except Exception:
            self._fail(block)

    def require(self, block: str, values: Iterable[str]) -> None:
        """Checks, before a run, that the block exists and needs no other values than these.

        Raises:
            UserError: If not; names the block or variable and what there is.
        """
        if block not in self.blocks:
            raise UserError(f"{self.path}: no block {block!r}; {suggest(block, self.blocks)}")
        given = frozenset(values)
        for missing in sorted(self.blocks[block] - given):
            what = ", which is a function of Jinja" if missing in DEFAULT_NAMESPACE else ""
            raise UserError(
                f"{self.path}:{self._line_of(missing, block)}: block {block!r} needs a value for "
                f"{missing!r}{what}; {suggest(missing, given)}"
            )

    def _line_of(self, variable: str, block: str) -> int:
        """Where a block first uses a variable."""
        tree = sandbox().parse(self.source, self.name, str(self.path))
        own = next(node for node in tree.find_all(nodes.Block) if node.name == block)
        return next(node.lineno for node in own.find_all(nodes.Name) if node.name == variable)

    def _fail(self, block: str) -> NoReturn:
        # A template fails with any exception of its values. Jinja rewrites the traceback of the
        # current exception so that it shows the template's lines.
        try:
            self._template.environment.handle_exception()
        except Exception as error:
            line = _line_in(error, self.path)
            raise UserError(
                f"{self.path}:{line}: block {block!r} fails: {error} ({type(error).__name__})"
            ) from error


def load_prompt(name: str, *, folder: Path | None = None) -> Prompt:
    """Reads and checks a prompt.

    Args:
        name: A prompt's name such as ``rewrite/template.v1``, or the path of a ``.jinja`` file.
        folder: Where relative paths start; a prompt of that name in it hides a shipped one.

    Raises:
        UserError: If there is no such prompt, or its file is none; names file and line.
    """
    path = _find(name, folder)
    try:
        source = read_regular_text(path)
    except (OSError, ValueError) as error:  # a ValueError: no path at all, or no UTF-8
        raise UserError(f"{path}: prompt cannot be read ({error})") from error
    if len(source) > _LONGEST_FILE:
        raise UserError(f"{path}: not a prompt: it has more than {_LONGEST_FILE} characters")
    environment = sandbox()
    try:
        tree = environment.parse(source, name, str(path))
        _check_numbers(tree, path)
        blocks, borders = dict(_blocks(tree, path, environment)), dict(_borders(tree))
        code = compiled(tree, name, str(path))
    except TemplateSyntaxError as error:
        raise UserError(f"{path}:{error.lineno}: not a prompt: {error.message}") from error
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        # Python finds some mistakes, not Jinja, and knows no line of the prompt.
        reason = " ".join(str(error).split()) or "it is nested too deeply"
        raise UserError(f"{path}: not a prompt: Python says: {reason}") from error
    if not blocks:
        raise UserError(f"{path}:1: not a prompt: it has no {{% block %}}")
    template = Template.from_code(environment, code, {})
    return Prompt(name, path, source, _about(source, environment), blocks, borders, template)


def shipped_prompts() -> tuple[str, ...]:
    """Names of the prompts that come with riveg, sorted."""
    root = shipped("prompts")
    paths = (path.relative_to(root) for path in root.rglob(f"*{SUFFIX}"))
    return tuple(sorted(path.as_posix().removesuffix(SUFFIX) for path in paths))


def _find(name: str, folder: Path | None) -> Path:
    base = folder or Path()
    if name.endswith(SUFFIX):
        return base / name
    if name in shipped_prompts() and not (base / f"{name}{SUFFIX}").is_file():
        return shipped("prompts", f"{name}{SUFFIX}")
    if folder is not None and (folder / f"{name}{SUFFIX}").is_file():
        return folder / f"{name}{SUFFIX}"
    raise UserError(f"no prompt {name!r}; {suggest(name, shipped_prompts())}")


def _check_numbers(tree: nodes.Template, path: Path) -> None:
    for constant in tree.find_all(nodes.Const):
        if isinstance(constant.value, int) and constant.value > LARGEST:
            raise UserError(f"{path}:{constant.lineno}: a number in a prompt is at most {LARGEST}")


def _blocks(
    tree: nodes.Template, path: Path, environment: Environment
) -> Iterator[tuple[str, frozenset[str]]]:
    for reference in tree.find_all(_OTHER_FILES):
        raise UserError(
            f"{path}:{reference.lineno}: a prompt is one file, it cannot bring in another"
        )
    for node in tree.body:
        if isinstance(node, nodes.Block):
            body = nodes.Template(node.body, lineno=node.lineno)
            body.set_environment(environment)
            yield node.name, frozenset(meta.find_undeclared_variables(body))
        elif not _is_blank(node):
            raise UserError(f"{path}:{node.lineno}: text outside a block would never be rendered")


def _borders(tree: nodes.Template) -> Iterator[tuple[str, Borders]]:
    whole = "".join(part.data for part in tree.find_all(nodes.TemplateData))
    for block in tree.find_all(nodes.Block):
        yield block.name, borders_of(map(_own_text, block.find_all(nodes.Output)), whole)


def _own_text(output: nodes.Output) -> str:
    """What a prompt writes itself, with NUL in the place of values."""
    return "".join(
        part.data if isinstance(part, nodes.TemplateData) else "\0" for part in output.nodes
    )


def _is_blank(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Output) and all(
        isinstance(part, nodes.TemplateData) and not part.data.strip() for part in node.nodes
    )


def _about(source: str, environment: Environment) -> str:
    for _, kind, value in environment.lex(source):
        if kind == "comment":
            return str(value).strip()
        if kind not in {"comment_begin", "whitespace"}:
            break
    return ""


def _line_in(error: BaseException, path: Path) -> int:
    line, trace = 1, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
