from __future__ import annotations

import time
from pathlib import Path

import pytest
from helpers.prompt_cases import GOLDEN, VALUES, cases, golden_file, rendered
from jinja2 import Environment, StrictUndefined
from jinja2.exceptions import SecurityError

from riveg.errors import UserError
from riveg.files import shipped
from riveg.llm.prompt_bounds import Allowance, allowance, spend
from riveg.llm.prompts import load_prompt, shipped_prompts

FINGERPRINTS = {
    "augment/gem.v1": "66c3a8e4aeb0a612d90ad25dea942ba5",
    "augment/pgim.v1": "0b80446bd7b5c43995f5132f22fcdd6b",
    "caption/short.v1": "68b5045180d807a96130610fb5f606d3",
    "entail/yes_no.v1": "10ed04e70d8273898dc7832b46f7c3a4",
    "extract/e2e-gmner.v1": "a0bd95421df8b3c8121533164d3170a6",
    "extract/json.v1": "eec2a2b4f7c9723a785d7abcb95afaa2",
    "extract/sake.v1": "5ac4ce65432552d947bf2dec57ca03fd",
    "ground/boxes.v1": "b0737f8ea69c86adffbb0d2edb09858d",
    "reasoning/e2e-gmner.v1": "fb05dc584fabce61467950764a13bfed",
    "rerank/gem.v1": "ba24a834c45e6c471e0ec78fbb0aa880",
    "rerank/gem.v2": "bf170ec2d798f45a5c2fe2c73877e5ab",
    "review/region.v1": "51a3d9c19cf002410d809a68aa5d37dd",
    "review/span.v1": "c9b72440b61705ac45eb125ec0b54968",
    "review/type.v1": "e1b19f6a2113a57a151369168d6f0508",
    "rewrite/appearance.v1": "05438bd15454d0a3105911ea65a4b7ad",
    "rewrite/riveg.v1": "02d8683cb32350916b0c2fe008845972",
    "rewrite/riveg.v2": "86b1b197715c444ad8a3308c234815e0",
    "rewrite/template.v1": "ece13737d16cc8e2582f6d3dbd798035",
    "rewrite/visual.v1": "30d4045fd45aab4e3cd294501f1ee43a",
    "tag/entities.v1": "3dc6babb6fe19ef5f44710bf195efa94",
}
"""A published prompt is never edited: change it in a new version beside the old one."""


def test_every_shipped_prompt_is_tried_here() -> None:
    files = list(shipped("prompts").rglob("*.jinja"))
    assert len(files) == len(VALUES)
    assert set(shipped_prompts()) == set(VALUES) == set(FINGERPRINTS)


@pytest.mark.parametrize("name", VALUES)
def test_prompt_renders_with_its_variables_and_fails_without_any(name: str) -> None:
    prompt = load_prompt(name)
    values = VALUES[name]
    assert prompt.variables == set(values)
    for block, wanted in prompt.blocks.items():
        assert prompt.render(block, **values).strip()
        for missing in wanted:
            rest = {key: value for key, value in values.items() if key != missing}
            with pytest.raises(UserError, match=f"needs a value for '{missing}'"):
                prompt.render(block, **rest)


@pytest.mark.parametrize("name", VALUES)
def test_the_comment_at_the_head_explains_every_variable(name: str) -> None:
    prompt = load_prompt(name)
    assert "What for:" in prompt.about
    assert "Source:" in prompt.about
    for variable in prompt.variables:
        assert variable in prompt.about


@pytest.mark.parametrize("name", VALUES)
def test_a_published_prompt_is_unchanged(name: str) -> None:
    assert load_prompt(name).fingerprint == FINGERPRINTS[name]


@pytest.mark.parametrize("name", VALUES)
def test_the_constant_part_of_a_shipped_prompt_uses_nothing_of_a_sample(name: str) -> None:
    blocks = load_prompt(name).blocks
    for block in {"system", "examples", "answer"} & {*blocks}:
        assert blocks[block] <= {"labels", "batch", "order"}


@pytest.mark.parametrize("case", cases())
def test_prompts_read_as_they_are_known_to(case: str) -> None:
    # Written anew, after a look at what changed, by removing the file and running prompt_cases.py.
    prompt, values = cases()[case]
    assert rendered(prompt, values) == golden_file(case).read_text(encoding="utf-8")


def test_no_text_is_left_over() -> None:
    assert {*GOLDEN.glob("*.txt")} == {golden_file(case) for case in cases()}


def write(folder: Path, source: str, name: str = "mine.jinja") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source, encoding="utf-8")
    return path


CHAT = """{# Test: variables text, shots. #}
{% block system %}
You answer briefly.
{% endblock %}

{% block examples %}
{% for shot in shots %}
{{ shot.text }} -> {{ shot.answer }}
{% endfor %}
{% endblock %}

{% block user %}
Text: {{ text }}
{% endblock %}
"""


def test_blocks_know_their_own_variables(tmp_path: Path) -> None:
    prompt = load_prompt("mine.jinja", folder=write(tmp_path, CHAT).parent)
    assert dict(prompt.blocks) == {
        "system": frozenset(),
        "examples": frozenset({"shots"}),
        "user": frozenset({"text"}),
    }
    assert prompt.about == "Test: variables text, shots."
    assert prompt.render("system") == "You answer briefly."
    assert prompt.render("user", text="hi") == "Text: hi"
    shots = [{"text": "a", "answer": "b"}, {"text": "c", "answer": "d"}]
    assert prompt.render("examples", shots=shots) == "a -> b\nc -> d"
    assert prompt.render("user", text="hi", shots=shots) == "Text: hi"


@pytest.mark.parametrize(
    "hostile",
    [
        pytest.param("{{ 7 * 7 }}", id="an expression is not evaluated"),
        pytest.param("{% block user %}", id="a statement is not parsed"),
        pytest.param("{# gone #}", id="a comment stays"),
        pytest.param("<script>&amp;", id="nothing is escaped: a prompt is no HTML"),
        pytest.param("a\x00b", id="NUL"),
        pytest.param("\u202eabc\U0001f600", id="right-to-left and emoji"),
        pytest.param("{{ self.__init__.__globals__ }}", id="no way out"),
        pytest.param("x\n", id="a line end of the value's own"),
    ],
)
def test_text_of_a_sample_stays_text(tmp_path: Path, hostile: str) -> None:
    prompt = load_prompt(str(write(tmp_path, CHAT)))
    assert prompt.render("user", text=hostile) == f"Text: {hostile}"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        pytest.param("", ":1: not a prompt: it has no", id="empty"),
        pytest.param("{% block user %}\n{{ x", ":2: not a prompt: ", id="unclosed expression"),
        pytest.param("{% block a %}{% endblock %}\n\nhello", "text outside", id="lost text"),
        pytest.param(
            "{% block a %}\n{% include 'b' %}{% endblock %}", ":2: a prompt is one", id="include"
        ),
        pytest.param(
            "{% extends 'b' %}{% block a %}{% endblock %}", ":1: a prompt is one", id="extends"
        ),
        pytest.param(
            "{% block a %}{% endblock %}{% block a %}{% endblock %}", ":1: not", id="twice"
        ),
        pytest.param(
            "{% block a %}{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}{% endblock %}",
            "not a prompt: ",
            id="nested too deeply",
        ),
        pytest.param(
            "{% block a %}" + "{% for i in x %}" * 30 + "{% endfor %}" * 30 + "{% endblock %}",
            "not a prompt: ",
            id="more loops than Python takes",
        ),
        pytest.param(
            "{% block a %}{% if x %}" + "{% elif x %}y" * 14_000 + "{% endif %}{% endblock %}",
            "it is nested too deeply",
            id="more branches than Python takes",
        ),
        pytest.param(
            "{% block a %}{% macro f(b, b) %}{% endmacro %}{% endblock %}",
            "not a prompt: ",
            id="one argument twice",
        ),
        pytest.param(
            f"{{% block a %}}{{{{ {'9' * 5000} }}}}{{% endblock %}}",
            "not a prompt: ",
            id="a number beyond what Python reads",
        ),
    ],
)
def test_a_malformed_prompt_is_refused_with_its_line(
    tmp_path: Path, source: str, message: str
) -> None:
    path = write(tmp_path, source)
    with pytest.raises(UserError) as caught:
        load_prompt(str(path))
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param("{{ x.nothing }}", "has no attribute 'nothing'", id="unknown attribute"),
        pytest.param("{{ x + 1 }}", "TypeError", id="wrong type"),
        pytest.param("{{ x.__class__.__mro__ }}", "SecurityError", id="sandbox"),
        pytest.param("{{ y.append(1) }}", "SecurityError", id="values are not changed"),
    ],
)
def test_a_failing_block_says_file_and_line(tmp_path: Path, body: str, message: str) -> None:
    path = write(tmp_path, f"{{% block a %}}\nfine\n{body}\n{{{{ y }}}}{{% endblock %}}")
    with pytest.raises(UserError) as caught:
        load_prompt(str(path)).render("a", x="text", y=[])
    assert message in str(caught.value)
    assert f"{path}:3:" in str(caught.value)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param("{{ 'x' * 10**9 }}", "SecurityError", id="a constant, repeated"),
        pytest.param("{{ 10**9 * 'x' }}", "SecurityError", id="the other way round"),
        pytest.param("{{ x * 9999 * 9999 }}", "SecurityError", id="a value, repeated"),
        pytest.param("{{ [x] * 9999 * 9999 }}", "SecurityError", id="a list"),
        pytest.param("{{ 10 ** 10 ** 9 }}", "SecurityError", id="a power"),
        pytest.param("{{ 2 ** -9999 }}", "SecurityError", id="a power below one"),
        pytest.param("{{ '%01000000000d' % 1 }}", "SecurityError", id="a width in a text"),
        pytest.param("{{ '{:>1000000000}'.format(1) }}", "SecurityError", id="and of a method"),
        pytest.param("{{ (x|attr('format'))(1) }}", "SecurityError", id="by a detour"),
        pytest.param("{{ x.ljust(9999) }}", "SecurityError", id="padding"),
        pytest.param("{{ '%01000000000d'|format(1) }}", "No filter", id="and of a filter"),
        pytest.param("{{ x|center(9999) }}", "No filter", id="a padding filter"),
        pytest.param("{{ x|indent(1000000000, true) }}", "at most 10000", id="a large number"),
        pytest.param(
            "{% for a in y %}{% for b in y %}{% for c in y %}{{ x }}{% endfor %}{% endfor %}"
            "{% endfor %}",
            "more than 1000000 characters",
            id="loops",
        ),
    ],
)
def test_what_would_fill_the_memory_is_refused(tmp_path: Path, body: str, message: str) -> None:
    path = write(tmp_path, f"{{% block a %}}\n{body}\n{{% endblock %}}")
    with pytest.raises(UserError, match=message) as caught:
        load_prompt(str(path)).render("a", x="text" * 10, y=list(range(300)))
    assert str(path) in str(caught.value)


DOUBLED = {
    "a text by ~": "{% set x = x ~ x %}",
    "a text by +": "{% set x = x + x %}",
    "a text by replace": "{% set x = x|replace('t', 'tttt') %}",
    "a text by its method": "{% set x = x.replace('t', 'tttt') %}",
    "a text by join": "{% set x = [x, x]|join(x) %}",
    "a text by its method join": "{% set x = x.join([x, x]) %}",
    "a text by indent": "{% set x = (x ~ '\\n')|indent(x|length, true) %}",
    "a text by map": "{% set x = [x, x]|map('replace', 't', 'tttt')|join %}",
    "a kept text": "{% set x = x ~ '' %}{% set z %}{{ x }}{{ x }}{% endset %}{% set x = z %}",
    "a text in a macro": "{% macro m(a) %}{{ a }}{{ a }}{% endmacro %}{% set x = m(x) %}",
    "a list by +": "{% set y = y + y %}",
    "a list in a list": "{% set y = [y, y] %}",
    "a tuple in a tuple": "{% set y = (y, y) %}",
    "a mapping": "{% set y = {'a': y, 'b': y} %}",
    "a list by *": "{% set y = [y] * 9 %}",
}


@pytest.mark.slow
@pytest.mark.parametrize("line", DOUBLED.values(), ids=DOUBLED)
def test_what_is_doubled_over_and_over_ends_soon(tmp_path: Path, line: str) -> None:
    path = write(tmp_path, f"{{% block a %}}{line * 60}{{{{ x }}}}{{{{ y }}}}{{% endblock %}}")
    prompt = load_prompt(str(path))
    began = time.thread_time()
    with pytest.raises(UserError, match=r"makes more than 1000000|of more than 10000000") as caught:
        prompt.render("a", x="text", y=[1, 2])
    assert "SecurityError" in str(caught.value)
    assert time.thread_time() - began < 10


LOOPS = "{% for a in y %}{% for b in y %}{% for c in y %}"
ENDS = "{% endfor %}" * 3


@pytest.mark.slow
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(f"{LOOPS}{{% set z = a %}}{ENDS}", id="nested loops that write nothing"),
        pytest.param(
            f"{{% set z %}}{LOOPS}{'words' * 50}{ENDS}{{% endset %}}", id="and keep what they write"
        ),
        pytest.param(
            "{% for a in y %}{% for b in y if b in y|map('string')|list %}{% endfor %}{% endfor %}",
            id="a loop over what is left out",
        ),
        pytest.param(
            "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}"
            "{{ f(60) }}",
            id="a macro that calls itself twice",
        ),
        pytest.param("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", id="and without end"),
        pytest.param(
            "{% macro g() %}{{ caller() }}{{ caller() }}{% endmacro %}"
            "{% macro f(n) %}{% call g() %}{{ f(n - 1) }}{% endcall %}{% endmacro %}{{ f(60) }}",
            id="a call in itself",
        ),
        pytest.param("{{ self.a() }}{{ self.a() }}", id="a block in itself"),
        pytest.param(
            "{% for a in [y] recursive %}{{ loop([a, a]) }}{% endfor %}", id="a recursive loop"
        ),
        pytest.param(
            "{% for a in y %}{% for b in y %}{{ y|select('in', y)|list }}{% endfor %}{% endfor %}",
            id="searches",
        ),
        pytest.param("{{ (x * 9999).rfind('b' ~ x * 9999) }}" * 2_000, id="a slow search"),
        pytest.param("{{ (x * 9999)|trim('ab' * 5000 ~ x * 9999) }}", id="a slow filter"),
        pytest.param("{{ (x * 9999).rsplit(sep='a' ~ x * 9999 ~ x * 9999) }}", id="by its name"),
        pytest.param("{{ y|sort(attribute='0.' * 5000 ~ '0') }}", id="a long way to an attribute"),
        pytest.param("{{ y|sort(false, false, '0.' * 5000 ~ '0') }}", id="by its place"),
        pytest.param("{{ 1|round(5000 + 5000, 'ceil') }}", id="digits without end"),
        pytest.param("{{ [y, y]|sum(start=[]) }}", id="lists in a sum"),
        pytest.param("{{ y|tojson(indent=9999) }}", id="wide JSON"),
        pytest.param("{{ (x * 9999 ~ x * 9999)|replace('', x * 9999) }}", id="at every character"),
        pytest.param("{{ ('<!--' * 2500 ~ '-->' * 3000) * 9 }}", id="a large product"),
        pytest.param("{{ (5).to_bytes(10000 + 10000) }}", id="bytes of a number"),
        pytest.param("{{ x.encode().ljust(9999) }}", id="bytes of a text"),
        pytest.param("{{ y|random }}", id="drawing lots"),
        pytest.param("{{ x|wordwrap(1, wrapstring=x) }}", id="line ends of any length"),
    ],
)
def test_what_would_take_for_ever_is_refused(tmp_path: Path, body: str) -> None:
    path = write(tmp_path, f"{{% block a %}}\n{body}\n{{% endblock %}}")
    began = time.thread_time()
    with pytest.raises(UserError, match=r"SecurityError|RecursionError|No filter named") as caught:
        load_prompt(str(path)).render("a", x="t", y=list(range(1000)))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert time.thread_time() - began < 10


@pytest.mark.slow
@pytest.mark.parametrize(
    "question", ["y == z", "y < z", "-1 in y", "-1 is in y", "{}[w] is defined", "(x * 99)[::-1]"]
)
def test_what_looks_through_a_large_value_counts(tmp_path: Path, question: str) -> None:
    asked = f"{{% if {question} %}}{{% endif %}}" * 400
    path = write(
        tmp_path,
        f"{{% block a %}}{{% for i in y %}}{asked}{{% endfor %}}{{{{ w }}}}{{% endblock %}}",
    )
    values = {"x": "text", "y": list(range(300)), "z": list(range(300)), "w": tuple(range(300))}
    with pytest.raises(UserError, match=r"more than 100000 loop steps|more than 10000000 char"):
        load_prompt(str(path)).render("a", **values)


def test_a_rendering_has_a_time_of_its_own() -> None:
    with pytest.raises(SecurityError, match="longer than 5 seconds"):
        Allowance(ends=time.thread_time()).spend()
    with allowance():
        spend(steps=100_000)
        with pytest.raises(SecurityError, match="more than 100000 loop steps"):
            spend(steps=1)
    with allowance():
        spend(steps=1)


def test_a_large_file_is_no_prompt(tmp_path: Path) -> None:
    path = write(tmp_path, f"{{% block a %}}{'{{ 1 }}' * 40_000}{{% endblock %}}")
    with pytest.raises(UserError, match="more than 200000 characters"):
        load_prompt(str(path))


def test_ordinary_work_stays_within_the_bounds(tmp_path: Path) -> None:
    body = """
{% macro line(one) %}{{ one.name ~ ": " ~ (one.seen or []) | join(", ") }}{% endmacro %}
{% for one in items if one.name is defined %}
{{ loop.index }} {{ line(one) }}{{ " (" ~ one.more | default("none") ~ ")" }}
{% endfor %}
{{ items | map(attribute="name") | select | list | length }}
{{ items | selectattr("seen") | map(attribute="name") | join(d="+") }}
{% set sides = {"l": [1, 2], "r": (3, 4)} %}{{ sides.l + [5] }} {{ sides.r | sum }}
{{ [3, 1] | sort | tojson(indent=2) }} {{ "a-b".replace("-", "_").split("_") | last }}
{% for key, value in sides | dictsort %}{{ key }}{{ value | first }}{% endfor %}
{% filter upper %}{{ text | trim | replace("x", "y", 1) | indent(width=2) }}{% endfilter %}
{% for one in [[1, [2]]] recursive %}{{ one if one is number else loop(one) }}{% endfor %}
"""
    path = write(tmp_path, f"{{% block a %}}{body}{{% endblock %}}")
    items = [{"name": f"n{number}", "seen": ["a", "b"][: number % 3]} for number in range(300)]
    text = load_prompt(str(path)).render("a", items=items, text=" xx ")
    plain = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    assert text == plain.from_string(body.removeprefix("\n")).render(items=items, text=" xx ")
    assert text.endswith("l1r3YX12")


def test_small_sums_are_reckoned(tmp_path: Path) -> None:
    body = "{{ '-' * 20 }} {{ x|length * 2 ** 3 % 7 }} {{ 2.5 * 2 }} {{ x|indent(2) }}"
    path = write(tmp_path, f"{{% block a %}}{body}{{% endblock %}}")
    assert load_prompt(str(path)).render("a", x="ab") == f"{'-' * 20} 2 5.0 ab"


def test_unknown_names_get_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"did you mean rewrite/template\.v1"):
        load_prompt("rewrite/template.v2")
    with pytest.raises(UserError, match="cannot be read"):
        load_prompt("absent.jinja", folder=tmp_path)
    prompt = load_prompt(str(write(tmp_path, CHAT)))
    with pytest.raises(UserError, match="did you mean user"):
        prompt.render("usr", text="x")
    with pytest.raises(UserError, match="needs a value for 'text'; did you mean txt"):
        prompt.render("user", txt="x")


def test_a_users_prompt_goes_before_a_shipped_one(tmp_path: Path) -> None:
    write(
        tmp_path, "{% block expression %}{{ mention }}{% endblock %}", "rewrite/template.v1.jinja"
    )
    assert load_prompt("rewrite/template.v1", folder=tmp_path).path.parent.parent == tmp_path
    assert load_prompt("rewrite/template.v1", folder=tmp_path / "other").variables > {"mention"}


def test_line_ends_do_not_change_the_fingerprint(tmp_path: Path) -> None:
    unix = load_prompt(str(write(tmp_path, CHAT, "unix.jinja")))
    (tmp_path / "windows.jinja").write_bytes(CHAT.replace("\n", "\r\n").encode())
    assert load_prompt(str(tmp_path / "windows.jinja")).fingerprint == unix.fingerprint
    changed = load_prompt(str(write(tmp_path, CHAT + " ", "changed.jinja")))
    assert changed.fingerprint != unix.fingerprint


@pytest.mark.parametrize("name", ["range", "namespace", "lipsum", "dict"])
def test_a_function_of_jinja_is_an_unknown_variable(tmp_path: Path, name: str) -> None:
    source = f"{{% block a %}}{{% for i in {name}(2) %}}{{{{ x }}}}{{% endfor %}}{{% endblock %}}"
    prompt = load_prompt(str(write(tmp_path, source)))
    assert prompt.variables == {"x", name}
    with pytest.raises(UserError, match=f"'{name}'.* is a function of Jinja") as caught:
        prompt.require("a", ["x"])
    assert "Known: x" in str(caught.value)


@pytest.mark.parametrize("name", ["a\0b.jinja", "\ud800.jinja"])
def test_a_path_that_can_be_none_is_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        load_prompt(name, folder=tmp_path)
