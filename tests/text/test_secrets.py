import base64
import html
import json
import re
import string
import time
import urllib.parse
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riveg.text.secrets import (
    Redaction,
    is_secret,
    looks_like_key,
    secrets_of,
    without_key_forms,
)

KEYS = st.text(string.ascii_letters + string.digits + string.punctuation, min_size=12, max_size=40)
WORDS = st.text(max_size=6)

FORMS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "repr": repr,
    "repr of bytes": lambda key: repr(key.encode()),
    "repr of a repr": lambda key: repr(repr(f"Bearer {key}".encode())),
    "JSON": json.dumps,
    "JSON in JSON": lambda key: json.dumps(json.dumps(key)),
    "escapes alone": lambda key: "".join(f"\\u{ord(letter):04X}" for letter in key),
    "URL": lambda key: urllib.parse.quote(key, safe=""),
    "URL in a URL": lambda key: urllib.parse.quote(urllib.parse.quote(key, safe=""), safe=""),
    "HTML": html.escape,
    "numbers of HTML": lambda key: "".join(f"&#x{ord(letter):x};" for letter in key),
    "hexadecimal": lambda key: key.encode().hex().upper(),
}


@pytest.mark.parametrize("form", FORMS)
@settings(deadline=None)
@given(key=KEYS, before=WORDS, after=WORDS)
def test_no_form_of_a_secret_stays(form: str, key: str, before: str, after: str) -> None:
    written = FORMS[form](key)
    shown = Redaction([key])(f"{before} {written} {after}")
    assert written not in shown
    assert "[key]" in shown


LONG_KEY = 'zQ9-x7&Tm"p4<Lw/2=Kv+8'
SPELLINGS: dict[str, Callable[[str], str]] = {
    "what is not seen between": "\u200b".join,
    "what is not seen, escaped": "\\u200b".join,
    "unassigned between": "\u0378".join,
    "blanks between": " ".join,
    "on two lines": lambda key: f"{key[:9]}\n{key[9:]}",
    "wide": lambda key: "".join(chr(ord(letter) + 0xFEE0) for letter in key),
    "octal": lambda key: "".join(f"\\{ord(letter):03o}" for letter in key),
    "long escapes": lambda key: "".join(f"\\U{ord(letter):08x}" for letter in key),
    "escapes in braces": lambda key: "".join(f"\\u{{{ord(letter):x}}}" for letter in key),
    "another case": str.swapcase,
    "hexadecimal with colons": lambda key: key.encode().hex(":"),
    "base64 on lines": lambda key: "\n".join(re.findall(".{1,10}", base64_of(f"me:{key}"))),
}


def base64_of(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_text_that_spells_a_secret_otherwise_is_hidden(spelling: str) -> None:
    written = SPELLINGS[spelling](LONG_KEY)
    assert Redaction([LONG_KEY])(f"so: {written} it is") == "[key]"
    assert Redaction([LONG_KEY])(f"{written}\n") == "[key]\n"
    assert Redaction(["sk-93711-the-key"])(f"so: {written} it is") == f"so: {written} it is"


@settings(deadline=None)
@given(KEYS, st.text(string.ascii_letters, max_size=9), st.text(string.ascii_letters, max_size=9))
def test_base64_of_user_and_password_tells_nothing_of_the_password(
    key: str, user: str, more: str
) -> None:
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        shown = Redaction([key])(encode(f"{user}:{key}{more}".encode()).decode())
        assert "[key]" in shown
        left = "".join(shown.split("[key]"))
        assert len(left) <= len(base64.b64encode(f"{user}:{more}".encode())) + 4


@given(st.text(max_size=99))
def test_a_text_without_secrets_stays_as_it_is(text: str) -> None:
    assert Redaction(["sk-93711-the-key", ""], shortest=6)(text) == text
    assert Redaction([])(text) == text


@pytest.mark.parametrize("text", ["\\\\" * 200_000, "s" * 400_000, "&#00" * 99_000, "%25" * 99_000])
def test_a_long_text_takes_no_longer_than_it_is_long(text: str) -> None:
    started = time.process_time()
    Redaction(["sk-93711-the-key"])(text)
    without_key_forms(text[:20_000])
    assert time.process_time() - started < 5


def test_secrets_of_an_environment() -> None:
    found = secrets_of(
        {
            "HF_TOKEN": "hush-hush",
            "API_KEY_OF_MINE": "hush-hush-2",
            "MOST_TOKENS": "eight",
            "TOKENIZERS_PARALLELISM": "false",
            "TLS_KEY": "/etc/tls.pem",
            "https_proxy": "http://me:hush%2Fb@proxy:80",
            "HOME": "/root",
        }
    )
    assert {*found} == {
        "hush-hush",
        "hush-hush-2",
        "me:hush%2Fb",
        "me:hush/b",
        "hush%2Fb",
        "hush/b",
    }


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("HF_TOKEN", "hush", True),
        ("HF_TOKEN", "1", False),
        ("MAX_TOKENS", "hush", False),
        ("ANYTHING", "ghp_0123456789abcdefghij", True),
        ("PGPASSWORD", "hush", True),
        ("AUTHTOKEN", "hush", True),
        ("HF_TOKEN_2", "hush", True),
        ("accessToken", "hush", True),
        ("apiKey", "hush", True),
        ("SSH_PRIVATE_KEY_B64", "hush", True),
        ("COOKIE", "hush", True),
        ("monkey", "hush", False),
        ("COMPASS", "hush", False),
        ("tokenizer", "hush", False),
        ("--revision", "0123456789abcdef0123456789abcdef01234567", False),
        ("--hf_overrides", "{}", False),
    ],
)
def test_values_under_names(name: str, value: str, expected: bool) -> None:
    assert is_secret(name, value) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("OPENAI_API_KEY", False),
        ("HUGGINGFACEHUB_API_TOKEN", False),
        ("hf_token", False),
        ("hf_AbCdEfGhIj", True),
        ("sk_live_12345678", True),
        ("a3f9b8c7d6e5f4a3b2c1", True),
    ],
)
def test_names_that_look_like_keys(text: str, expected: bool) -> None:
    assert looks_like_key(text) is expected
