"""What a prompt can do while it is rendered: Jinja's sandbox, with bounds on all that grows.

Functions of Jinja are removed, and what makes long texts of short ones: ``|center(10000)``. What
loops and what makes values asks :mod:`riveg.llm.prompt_bounds` each time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, wraps
from types import CodeType
from typing import Any, cast

from jinja2 import Environment, StrictUndefined, Undefined, nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from riveg.llm.prompt_bounds import (
    FIRST_VALUES,
    LONGEST,
    allowance,
    bounded,
    check_product,
    counted,
    require_short_name,
    require_small,
    safe_arguments,
    spend,
)

_CHARGED, _KEPT = "riveg: charged", "riveg: kept"
_JOINED, _STEPPED = "riveg: joined", "riveg: stepped"
"""Names of riveg's own filters; a prompt cannot write them."""

_GONE = ("batch", "center", "format", "pprint", "random", "slice", "urlize", "wordwrap", "xmlattr")
"""Filters that take a width or write more than they are given, and the one that draws lots."""

_NAME_AT = {"groupby": 1, "join": 2, "max": 2, "min": 2, "rejectattr": 1, "selectattr": 1}
_NAME_AT |= {"sort": 3, "sum": 1, "unique": 2}
"""Where filters are given the name of an attribute, the value being at 0."""

_GROWING_METHODS = {
    str: frozenset({"center", "encode", "expandtabs", "ljust", "rjust", "translate", "zfill"}),
    int: frozenset({"to_bytes"}),
}
"""They write as many characters as they are told."""


@cache
def sandbox() -> Environment:
    """The environment that every prompt is compiled in."""
    return bounded_environment(StrictUndefined, {}, {})


def bounded_environment(
    undefined: type[Undefined],
    functions: Mapping[str, Callable[..., Any]],
    filters: Mapping[str, Callable[..., Any]],
    extensions: Sequence[str | type[Extension]] = (),
) -> Environment:
    """An environment for texts of others: what :func:`compiled` makes in it is bounded.

    Args:
        undefined: What a variable without a value is.
        functions: What can be called by name; there is nothing else.
        filters: More filters, or others in the place of Jinja's, which make no large value of a
            small one; what they take and give is bounded.
        extensions: Of Jinja's language.
    """
    environment = _Sandbox(
        undefined=undefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # a prompt is no HTML
        extensions=extensions,
        finalize=bounded,
    )
    environment.globals = dict(functions)
    for name in _GONE:
        del environment.filters[name]
    for name, known in environment.filters.items():
        environment.filters[name] = _bounded_filter(known, FIRST_VALUES.get(name), name)
    environment.filters |= {name: _bounded_filter(new) for name, new in filters.items()}
    environment.filters |= {_CHARGED: _charged, _KEPT: _kept, _JOINED: _joined}
    environment.filters[_STEPPED] = _stepped
    return environment


def compiled(tree: nodes.Template, name: str, path: str) -> CodeType:
    """Code that counts its loop steps and the size of what it makes.

    Args:
        tree: A parsed text; it is changed.
        name: What errors call it.
        path: Its file.

    Raises:
        SyntaxError: If Python finds a mistake that Jinja does not.
        RecursionError: If it is nested too deeply.
    """
    environment = cast("Environment", tree.environment)
    changed = cast("nodes.Template", _Bounding().visit(tree))
    changed.set_environment(environment)
    with allowance():  # constant filters are called when a prompt is compiled
        return environment.compile(changed, name, path)


def rendered(parts: Iterable[str]) -> str:
    """The text of a rendering that gives its parts one by one.

    Raises:
        TooLong: If it has more than :data:`LONGEST` characters.
        Exception: Whatever the rendering raises.
    """
    kept: list[str] = []
    length = 0
    with allowance():
        for part in parts:
            length += len(part)
            if length > LONGEST:
                raise TooLong(f"makes more than {LONGEST} characters")
            kept.append(part)
    return "".join(kept)


class TooLong(Exception):
    """A rendering that makes more than anyone reads."""


class _Sandbox(ImmutableSandboxedEnvironment):
    """Jinja's sandbox, with bounds on the size of values.

    Intercepted operators are not evaluated when a prompt is loaded, as other constants are.
    """

    intercepted_binops = frozenset({"*", "**", "%", "+"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """The result of an operator.

        Raises:
            SecurityError: If it would be large, or formats a text.
        """
        if operator == "%" and isinstance(left, str):
            raise SecurityError("% of a text is not there, write it with ~")
        if operator in {"*", "**"}:
            check_product(operator, left, right)
        return bounded(super().call_binop(context, operator, left, right))

    def call(self, context: Context, called: Any, /, *args: Any, **kwargs: Any) -> Any:
        """The result of a call.

        Raises:
            SecurityError: If there were too many, or it would be large.
        """
        spend(steps=1)
        if isinstance(text := getattr(called, "__self__", None), str):
            args = safe_arguments(text, called.__name__, args, kwargs)
        return bounded(super().call(context, called, *args, **kwargs))

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Jinja's rule, without the methods that write as much as they are told."""
        growing = any(isinstance(obj, kind) and attr in of for kind, of in _GROWING_METHODS.items())
        return not growing and super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> None:
        """Refuses the methods ``format`` and ``format_map`` of a text.

        Raises:
            SecurityError: If it is one of them.
        """
        if super().wrap_str_format(value) is not None:
            raise SecurityError("format of a text is not there, write it with ~")


class _Bounding(NodeTransformer):
    """Puts riveg's own filters around what loops, what makes values and what looks through them."""

    def visit(self, node: nodes.Node, *_args: Any, **_kwargs: Any) -> nodes.Node:
        """The node, or riveg's filter with the node in it."""
        self.generic_visit(node)
        if isinstance(node, nodes.Concat):
            return _filtered(nodes.List(node.nodes), _JOINED, node)
        if isinstance(node, nodes.For | nodes.Macro | nodes.CallBlock):
            return _charging(node)
        is_target = isinstance(node, nodes.Tuple) and node.ctx != "load"
        if isinstance(node, nodes.List | nodes.Dict | nodes.Tuple) and not is_target:
            return _filtered(node, _KEPT, node)
        if isinstance(node, nodes.Getitem) and node.ctx == "load":
            # A slice is a new value; any other key may be a large one that is hashed.
            is_slice = isinstance(node.arg, nodes.Slice)
            return _filtered(node, _KEPT if is_slice else _STEPPED, node)
        if isinstance(node, nodes.Compare | nodes.Test):
            return _filtered(node, _STEPPED, node)
        return node


def _charging(node: nodes.For | nodes.Macro | nodes.CallBlock) -> nodes.Node:
    """A step before each pass, which costs what the prompt itself writes in the pass."""
    written = sum(
        len(part.data) for child in node.body for part in child.find_all(nodes.TemplateData)
    )
    step = nodes.ExprStmt(_filtered(nodes.Const(written), _CHARGED, node))
    step.set_lineno(node.lineno)
    node.body.insert(0, step)
    if isinstance(node, nodes.For) and node.test is not None:
        one = _filtered(nodes.Const(0), _CHARGED, node)
        node.test = nodes.And(one, node.test, lineno=node.lineno)
    return node


def _filtered(value: nodes.Node, name: str, place: nodes.Node) -> nodes.Filter:
    found = nodes.Filter(value, name, [], [], None, None)
    found.set_lineno(place.lineno)
    return found


@pass_context  # so that they are not called when a prompt is compiled
def _charged(_context: Context, written: int) -> bool:
    spend(steps=1, made=written)
    return True


@pass_context
def _kept(_context: Context, value: Any) -> Any:
    return bounded(value)


@pass_context
def _stepped(_context: Context, value: Any) -> Any:
    spend(steps=1)
    return value


@pass_context
def _joined(_context: Context, values: list[Any]) -> str:
    bounded(values)
    return "".join(map(str, values))


def _bounded_filter(
    known: Callable[..., Any], first: Callable[..., Any] | None = None, name: str = ""
) -> Callable[..., Any]:
    """A filter whose values are bounded, those that it takes and those that it gives.

    Args:
        known: The filter.
        first: Checks what one of Jinja is given.
        name: What Jinja calls it.
    """
    is_passed = hasattr(known, "jinja_pass_arg")
    name_at = _NAME_AT.get(name)

    @wraps(known)
    def filtered(*args: Any, **kwargs: Any) -> Any:
        passed, given = (args[:1], args[1:]) if is_passed else ((), args)
        for value in (*given, *kwargs.values()):
            require_small(value)
        require_short_name(kwargs.get("attribute"))
        if name_at is not None:
            for one in given[name_at : name_at + 1]:
                require_short_name(one)
        if first is not None:
            given = (first(*given, **kwargs), *given[1:])
        spend(steps=1)
        found = known(*passed, *given, **kwargs)
        return counted(found) if isinstance(found, Iterator) else bounded(found)

    return filtered
