"""Secrets in what is stored or shown: passwords of addresses, keys, and values of the environment that are named so."""

import json
import os
import re
import shlex
from collections.abc import Iterable
from html import escape
from typing import Any

MASK = "(hidden)"
WORDS = (
    r"(?:(?:api|access|secret|account|private)_?key|passwords?|passwd|passphrase|pwd|secret|credentials|"
    r"(?:auth|access|hf|hub|bearer)_?token)"
)
NAMED = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)$", re.IGNORECASE)
"""Names of environment variables whose values are secrets."""
SHORTEST = 8  # characters of such a value, lest a common word be hidden
LONGEST = 2000  # signs of a password or token


def _login(ends: str) -> re.Pattern[str]:
    """User and password of an address, in which the signs `ends` do not stand.

    Of a web address a number before the first slash is a port, and what follows is its path. A path that was made of an address has
    one slash in place of two.
    """
    user, password = f"[^/:{ends}]{{0,{LONGEST}}}", f"[^{ends}]{{0,{LONGEST}}}"
    return re.compile(
        rf"(?:(?<=http:/)|(?<=http://)|(?<=https:/)|(?<=https://)){user}(?::(?!\d{{1,5}}/){password})?@"
        rf"|(?<!http:/)(?<!http://)(?<!https:/)(?<!https://)(?:(?<=:/)|(?<=://)){user}(?::{password})?@",
        re.DOTALL,
    )


LOGIN = _login(r'\s"<>')
LOGIN_OF_VALUE = _login(r"\0")
"""The same where nothing but the address is there, whose password may have blanks and quotes."""
ADDRESS = re.compile(r"\s*[a-z][\w+.-]*:/", re.IGNORECASE)
QUERY = re.compile(
    r"(?<=[?&;#])([\w-]*(?:key|key_?id|token|secret|password|passwd|pwd|signature|sig|credential|code|auth|jwt|pass|odbc_connect)=)[^\s&'\"<>]+",
    re.IGNORECASE,
)
VALUE = r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.|'')*'|['"]?[^\s'"<>,;}]+)"""
OPTION = re.compile(rf"(?<![a-z])({WORDS}['\"]?\s*[=:]\s*){VALUE}", re.IGNORECASE)


def mask(text: str) -> str:
    """A text in which passwords of addresses and secrets of the environment are hidden."""
    if ":/" in text:
        text = QUERY.sub(rf"\1{MASK}", LOGIN.sub(f"{MASK}@", text) if "@" in text else text)
    for name, value in os.environ.items():
        if len(value) >= SHORTEST and NAMED.search(name):
            for form in {value, escape(value), json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}:
                text = text.replace(form, MASK)
    return text


def _mask_value(value: str) -> str:
    """As `mask`, of a value that may be an address and nothing else."""
    return mask(LOGIN_OF_VALUE.sub(f"{MASK}@", value) if ADDRESS.match(value) else value)


def mask_options(text: str) -> str:
    """A text in which the values of options named `password`, `api_key` and the like are hidden, too."""
    return OPTION.sub(rf"\1{MASK}", mask(text))


def mask_word(word: str) -> str:
    """A word of a command, as `mask_options`; all that stands behind `password=` is its value."""
    name, sign, value = word.partition("=")
    is_secret = sign and re.search(f"{WORDS}$", name, re.IGNORECASE)
    return f"{name}={MASK}" if is_secret and value else mask_options(f"{name}{sign}{_mask_value(value)}")


def mask_command(words: Iterable[str]) -> str:
    """The words of a command as a shell reads them, without secrets."""
    return shlex.join(map(mask_word, words))


def mask_values(value: Any, name: str = "") -> Any:
    """Nested values, such as a config, in which secrets are hidden; `name` is that of the option."""
    if isinstance(value, dict):
        return {key: mask_values(each, str(key)) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [mask_values(each, name) for each in value]
    if not isinstance(value, str):
        return value
    return MASK if re.search(f"{WORDS}$", name, re.IGNORECASE) else _mask_value(value)
