"""Chat templates of model folders: what a request's messages become, under a prompt's bounds.

Templates find here what transformers gives them, by the names that it uses
(https://huggingface.co/docs/transformers/chat_templating_writing), and no more than a prompt may do
(:mod:`riveg.llm.prompt_sandbox`): they come with a model and are somebody else's programs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from jinja2 import Environment, Template, TemplateError, Undefined, nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, LoopControlExtension
from jinja2.parser import Parser
from jinja2.sandbox import safe_range
from jinja2.utils import Cycler, Joiner, Namespace

from riveg.llm.prompt_bounds import require_small_json
from riveg.llm.prompt_sandbox import TooLong, bounded_environment, compiled, rendered

_LONGEST_DATE_FORMAT = 100
_LONGEST_SEPARATORS = 10


class ChatTemplate:
    """A model's chat template.

    Args:
        source: Its text.
        marks: Texts that it knows by name: ``bos_token`` and others.

    Raises:
        ValueError: If it is no template; the message is one line.
    """

    def __init__(self, source: str, marks: Mapping[str, str]) -> None:
        environment = _environment()
        try:
            code = compiled(environment.parse(source), "chat template", "chat template")
        except (TemplateError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise ValueError(f"no chat template: {' '.join(str(error).split())}") from error
        functions = {**environment.globals, **marks}
        self._template = Template.from_code(environment, code, functions)

    def render(self, **values: object) -> str:
        """The text that a model reads.

        Raises:
            ValueError: If the template fails on these values, or makes or does too much.
        """
        try:
            return rendered(self._template.root_render_func(self._template.new_context(values)))
        except TooLong as error:
            raise ValueError(f"the chat template {error}") from error
        except Exception as error:  # a template raises whatever its values do
            raise ValueError(f"the chat template fails: {' '.join(str(error).split())}") from error


@cache
def _environment() -> Environment:
    functions: dict[str, Callable[..., Any]] = {
        "range": safe_range,
        "dict": _dict,
        "namespace": _Namespace,
        "cycler": Cycler,
        "joiner": Joiner,
        "raise_exception": _raise_exception,
        "strftime_now": _strftime_now,
    }
    extensions = (LoopControlExtension, _Generation)
    return bounded_environment(Undefined, functions, {"tojson": _tojson}, extensions)


def _dict(*args: Any, **kwargs: Any) -> dict[Any, Any]:
    return dict(*args, **kwargs)


class _Namespace(Namespace):
    """What a template may write attributes of, but none that Python itself looks at."""

    def __init__(*args: Any, **kwargs: Any) -> None:  # an attribute may be called `self`
        _require_plain(kwargs)
        Namespace.__init__(*args, **kwargs)

    def __setitem__(self, name: str, value: Any) -> None:
        _require_plain([name])
        super().__setitem__(name, value)


def _require_plain(names: Iterable[str]) -> None:
    for name in names:
        if name.startswith("_"):
            raise SecurityError(f"an attribute of a namespace is not called {name!r}")


def _raise_exception(message: object) -> None:
    raise TemplateError(str(message))


def _strftime_now(form: str) -> str:
    if len(form) > _LONGEST_DATE_FORMAT:
        raise SecurityError("the format of a date is short")
    return datetime.now().astimezone().strftime(form)


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: Sequence[str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON as transformers writes it: nothing is escaped for HTML."""
    require_small_json(value, indent)
    if sum(map(len, separators or ())) > _LONGEST_SEPARATORS:
        raise SecurityError("what separates the parts of JSON is short")
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=None if separators is None else (separators[0], separators[1]),
        sort_keys=sort_keys,
    )


class _Generation(Extension):
    """``{% generation %}``: marks a model's own answers, for those who train on them."""

    tags = {"generation"}  # noqa: RUF012  (Jinja's own declaration)

    def parse(self, parser: Parser) -> nodes.Node:
        """What stands between the marks."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body, lineno=line)
