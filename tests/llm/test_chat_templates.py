"""Chat templates: the text that transformers makes of them, and an end to what they do."""

from typing import Any

import pytest

from riveg.llm.chat_templates import ChatTemplate

MESSAGES = [
    {"role": "system", "content": " be <good> é\n"},
    {"role": "user", "content": "a red ball \n"},
    {"role": "assistant", "content": "<think>\nx\n</think>\nok"},
    {"role": "user", "content": "more"},
]

TEMPLATES = {
    "marks": "{{ bos_token }}{% for m in messages %}<{{ m.role }}>{{ m['content'] | trim }}"
    "{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}",
    "namespace": """{%- set ns = namespace(last=messages|length - 1, found=false) %}
{%- for m in messages[::-1] %}
    {%- if not ns.found and m.role == "user" and m.content is string %}
        {%- set ns.last = (messages|length - 1) - loop.index0 %}
        {%- set ns.found = true %}
    {%- endif %}
{%- endfor %}
{{ ns.last }}""",
    "thoughts": "{% for m in messages %}{% if '</think>' in m.content %}"
    "{{ m.content.split('</think>')[-1].lstrip('\\n') }}{% endif %}{% endfor %}"
    "{% if enable_thinking is defined and enable_thinking is false %}<think></think>{% endif %}",
    "unset": "{% if not tools is defined %}{% set tools = none %}{% endif %}{{ tools }}{{ nope }}",
    "loops": "{% for m in messages %}{% if m.role == 'system' %}{% continue %}{% endif %}"
    "{{ m.content }}{% if loop.index > 2 %}{% break %}{% endif %}{% endfor %}",
    "json": "{{ messages[0] | tojson }}{{ messages[0] | tojson(indent=2) }}"
    "{{ dict(b='<é>', a=[1]) | tojson(ensure_ascii=true, separators=(',', ':'), sort_keys=true) }}",
    "training": "{% generation %}{{ messages[2].content }}{% endgeneration %}!",
    "functions": "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{% set j = joiner() %}"
    "{{ j() }}{{ j() }}{% for i in range(3) %}{{ i }}{% endfor %}{{ strftime_now('%Y') }}",
    "macros": "{% macro m(x) %}[{{ x.role }}]{% endmacro %}{% for x in messages %}{{ m(x) }}"
    "{%- endfor %}",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TEMPLATES)
def test_the_text_is_the_one_of_transformers(name: str) -> None:
    from transformers.utils.chat_template_utils import render_jinja_template

    values: dict[str, Any] = {"add_generation_prompt": True, "enable_thinking": False}
    ((expected,), _) = render_jinja_template(
        [MESSAGES], chat_template=TEMPLATES[name], bos_token="<s>", **values
    )
    template = ChatTemplate(TEMPLATES[name], {"bos_token": "<s>"})
    assert template.render(messages=MESSAGES, **values) == expected


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (
            "{% set ns = namespace(x='aaaaaaaaaa') %}{% for _ in range(99) %}"
            "{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
            "more than 1000000 characters",
        ),
        (
            "{% for _ in range(99999) %}{% for _ in range(99999) %}{% endfor %}{% endfor %}",
            "more than 100000 loop steps",
        ),
        ("{% for _ in range(99999) %}a rather long line{% endfor %}", "more than 1000000 char"),
        ("{{ 'a' * 10 ** 9 }}", "makes more than"),
        ("{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}", "recursion"),
        ("{{ range(1000000000) | list }}", "Range too big"),
        ("{{ strftime_now(messages | string * 90) }}", "fails"),
        ("{{ [1] | tojson(indent=9999999) }}", "indent is at most 8"),
        ("{{ [1] | tojson(separators=(',' ~ 'x' * 9999, ':')) }}", "parts of JSON is short"),
        ("{{ 'a' | center(9999999) }}", "No filter named 'center'"),
        ("{% set ns = namespace(_x=1) %}", "is not called '_x'"),
        ("{% set ns = namespace() %}{% set ns.__class__ = 1 %}", "is not called '__class__'"),
        ("{{ namespace.__init__.__globals__ }}", "unsafe"),
        ("{{ raise_exception('roles must alternate') }}", "roles must alternate"),
        ("{% generation %}", "no chat template"),
        ("{{ " + "(" * 50_000, "no chat template"),
    ],
)
def test_what_does_too_much_is_refused_in_one_line(source: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as error:
        ChatTemplate(source, {}).render(messages=MESSAGES)
    assert "\n" not in str(error.value)
