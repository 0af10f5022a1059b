"""Where a secret may be sent to."""

import pytest

from botticelli.config.addresses import require_safe
from botticelli.errors import ConfigError
from botticelli.text import graphemes


@pytest.mark.parametrize(
    ("address", "root"),
    [
        ("https://social.example", "https://social.example"),
        ("https://social.example/sub/", "https://social.example/sub"),
        ("https://social.example:8443", "https://social.example:8443"),
        ("http://127.0.0.1:4000/", "http://127.0.0.1:4000"),
        ("http://localhost:4000", "http://localhost:4000"),
        ("http://[::1]:4000", "http://[::1]:4000"),
    ],
)
def test_a_secret_goes_out_encrypted_or_stays_on_this_machine(address, root):
    assert require_safe(address, where="it", hint="base_url") == root


@pytest.mark.parametrize(
    "address",
    [
        "http://social.example",
        "http://10.0.0.1:4000",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example",
        "http://127.0.0.1@evil.example",
        "https://user:word@social.example",
        "https://social.example/?a=b",
        "https://social.example/#a",
        "https://social.example:port",
        "https://[::1",
        "ftp://social.example",
        "social.example",
    ],
)
def test_any_other_address_is_refused(address):
    with pytest.raises(ConfigError):
        require_safe(address, where="it", hint="base_url")


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("abc", 3),
        ("e\u0301", 1),
        ("👨‍👩‍👧‍👦", 1),
        ("🇩🇪🇫🇷", 2),
        ("a\r\nb", 3),
        ("👍🏽!", 2),
    ],
)
def test_graphemes_are_what_a_reader_sees(text, count):
    assert graphemes(text) == count
