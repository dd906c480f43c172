from __future__ import annotations

import re
from pathlib import Path

import pytest

from riveg.errors import UserError
from riveg.llm.prompts import load_prompt, shipped_prompts
from riveg.stages.prompt_probe import probe_prompt, probes


@pytest.mark.parametrize("name", shipped_prompts())
def test_the_probe_sample_has_a_value_for_every_variable_of_every_shipped_prompt(name: str) -> None:
    prompt = load_prompt(name)
    assert all(prompt.variables <= values.keys() for values in probes(prompt))
    probe_prompt(name, Path())


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{{ entities[0].txt }}", "has no attribute 'txt'"),
        ("{{ entities[1].text if batch == 'entity' }}", "has no element 1"),
        ("{{ text | length / 0 }}", "division by zero"),
        ("{% set x = text %}" + "{% set x = [x, x] | join(x) %}" * 20, "more than 1000000"),
        ("{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}", "recursion"),
    ],
)
def test_a_prompt_that_fails_on_it_is_told_with_its_line(
    tmp_path: Path, body: str, message: str
) -> None:
    (tmp_path / "mine.jinja").write_text(f"{{% block user %}}\n{body}\n{{% endblock %}}")
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        probe_prompt("mine.jinja", tmp_path)
    assert str(caught.value).startswith(f"on a probe sample: {tmp_path / 'mine.jinja'}:2: ")


def test_a_block_with_values_of_others_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "mine.jinja").write_text("{% block user %}{{ mine / 0 }}{% endblock %}")
    probe_prompt("mine.jinja", tmp_path)
