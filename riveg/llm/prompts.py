"""Prompts: one Jinja file each, with named blocks, rendered in a sandbox.

A prompt file opens with a comment (its purpose, its variables, its source) and holds only blocks:
``system``, ``user``, ``examples``, or others that its backend reads. Text of a sample enters as a
value, so ``{{ }}`` in a sample stays text. Jinja's own functions are removed: with ``range`` a
prompt could loop for ever. So is what makes long texts of short ones: ``|center(10000)``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from jinja2 import Environment, StrictUndefined, Template, TemplateSyntaxError, meta, nodes
from jinja2.defaults import DEFAULT_NAMESPACE
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from riveg.errors import UserError, suggest
from riveg.files import read_regular_text, shipped, text_digest
from riveg.llm.borders import Borders, borders_of

SUFFIX = ".jinja"

_OTHER_FILES = (nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport)

_LONGEST = 1_000_000
"""Most characters of a rendered block; no model reads as many."""

_LARGEST = 10_000
"""Bound on numbers in a prompt, on products and powers, and on the length of a repeated text."""

_LARGEST_EXPONENT = 64

_PADDING_FILTERS = ("batch", "center", "format", "slice")
_PADDING_METHODS = frozenset({"center", "expandtabs", "ljust", "rjust", "zfill"})
"""They take a width and write as many blanks."""


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
        parts: list[str] = []
        length = 0
        try:
            for part in self._template.blocks[block](context):
                length += len(part)
                if length > _LONGEST:
                    break
                parts.append(part)
        except Exception:
            self._fail(block)
        if length > _LONGEST:
            raise UserError(f"{self.path}: block {block!r} makes more than {_LONGEST} characters")
        return "".join(parts).removesuffix("\n")

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
        tree = _environment().parse(self.source, self.name, str(self.path))
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
    environment = _environment()
    try:
        tree = environment.parse(source, name, str(path))
        _check_numbers(tree, path)
        blocks = dict(_blocks(tree, path, environment))
        code = environment.compile(source, name, str(path))
    except TemplateSyntaxError as error:
        raise UserError(f"{path}:{error.lineno}: not a prompt: {error.message}") from error
    except (SyntaxError, ValueError, RecursionError) as error:
        # Python finds some mistakes, not Jinja, and knows no line of the prompt.
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: not a prompt: Python says: {reason}") from error
    if not blocks:
        raise UserError(f"{path}:1: not a prompt: it has no {{% block %}}")
    template = Template.from_code(environment, code, {})
    about, borders = _about(source, environment), dict(_borders(tree))
    return Prompt(name, path, source, about, blocks, borders, template)


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


class _Sandbox(ImmutableSandboxedEnvironment):
    """Jinja's sandbox, with bounds on the size of values.

    Intercepted operators are not evaluated when a prompt is loaded, as other constants are.
    """

    intercepted_binops = frozenset({"*", "**", "%"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """The result of an operator.

        Raises:
            SecurityError: If it would be large, or formats a text.
        """
        if operator == "%" and isinstance(left, str):
            raise SecurityError("% of a text is not there, write it with ~")
        if operator != "%":
            _check_product(operator, left, right)
        return super().call_binop(context, operator, left, right)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Jinja's rule, without the methods that pad a text."""
        padding = isinstance(obj, str) and attr in _PADDING_METHODS
        return not padding and super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> None:
        """Refuses the methods ``format`` and ``format_map`` of a text.

        Raises:
            SecurityError: If it is one of them.
        """
        if super().wrap_str_format(value) is not None:
            raise SecurityError("format of a text is not there, write it with ~")


def _check_product(operator: str, left: Any, right: Any) -> None:
    """Refuses a large product or power before it is computed."""
    one, other = (len(each) if hasattr(each, "__len__") else abs(each) for each in (left, right))
    is_small = one <= _LARGEST and other <= (_LARGEST_EXPONENT if operator == "**" else _LARGEST)
    if not is_small or (one**other if operator == "**" else one * other) > _LARGEST:
        raise SecurityError(f"{operator} makes more than {_LARGEST}")


def _check_numbers(tree: nodes.Template, path: Path) -> None:
    for constant in tree.find_all(nodes.Const):
        if isinstance(constant.value, int) and constant.value > _LARGEST:
            raise UserError(f"{path}:{constant.lineno}: a number in a prompt is at most {_LARGEST}")


@cache
def _environment() -> Environment:
    environment = _Sandbox(
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # a prompt is no HTML
        extensions=(),
    )
    environment.globals = {}
    for name in _PADDING_FILTERS:
        del environment.filters[name]
    return environment


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
