from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srdp.domain.common.errors import InvalidInput
from srdp.domain.common.mail import Mail, render_mail

GOOD = {"key": "a_mail", "recipients": ("one@example.org",), "subject": "Ready", "text": "text", "html": "<p>html</p>"}


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("templates")
    (folder / "mail").mkdir()
    (folder / "mail" / "a_mail.subject.txt").write_text("[SRDP] {{ what }}\n")
    (folder / "mail" / "a_mail.txt").write_text("It is {{ what }}.\n")
    (folder / "mail" / "a_mail.html").write_text("<p>It is {{ what }}.</p>\n")
    return folder


@pytest.mark.parametrize(
    "change",
    [
        {"key": "A Mail"},
        {"key": "a_mail\n"},
        {"key": ""},
        {"key": "../a"},
        {"key": "a" * 65},
        {"recipients": ()},
        {"recipients": ("one@example.org\nBcc: all@example.org",)},
        {"recipients": ("one@example.org\r\n\r\nbody",)},
        {"recipients": ("one@example.org, two@example.org",)},
        {"recipients": ("One <one@example.org>",)},
        {"recipients": ("one@example.org", "nobody")},
        {"recipients": ("\u00f6ne@example.org",)},
        {"recipients": ("one@example.org>",)},
        {"recipients": ("",)},
        {"subject": "Ready\nBcc: all@example.org"},
        {"subject": "Ready\rBcc: all@example.org"},
        {"subject": "Ready\x85Bcc: all@example.org"},
        {"subject": "Ready\u2028Bcc: all@example.org"},
        {"subject": "Ready\0"},
        {"subject": ""},
        {"subject": "   "},
        {"subject": "x" * 10000},
        {"subject": "Ready =?utf-8?q?x=0D=0ABcc:_all@example.org?="},
    ],
)
def test_what_could_inject_a_header_is_no_mail(change: dict[str, object]) -> None:
    with pytest.raises(InvalidInput) as caught:
        Mail(**(GOOD | change))  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_good_mail_is_made() -> None:
    assert Mail(**GOOD).subject == "Ready"  # type: ignore[arg-type]


def test_templates_are_filled(templates: Path) -> None:
    mail = render_mail(templates, "a_mail", ["one@example.org"], {"what": "well & good"})
    assert mail.subject == "[SRDP] well & good"
    assert mail.text == "It is well & good.\n"
    assert mail.html == "<p>It is well &amp; good.</p>\n"
    assert mail.key == "a_mail"


def test_hostile_values_stay_values(templates: Path) -> None:
    hostile = "x\r\nBcc: all@example.org\r\n\r\n<script>alert('1')</script>\x1b[2J\0\u202e"
    mail = render_mail(templates, "a_mail", ["one@example.org"], {"what": hostile})
    assert mail.subject == "[SRDP] x Bcc: all@example.org <script>alert('1')</script> [2J \\u202e"
    assert "<script" not in mail.html
    assert not {"\x1b", "\0", "\r"} & set(mail.text + mail.html)


@pytest.mark.parametrize(
    "hidden",
    [
        *"\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c",
        *"\u200b\u200c\u200d\u2060\ufeff\xad\u3164\u2028\U000e0041",
    ],
    ids=ascii,
)
def test_hidden_characters_are_written_out_in_subject_and_bodies(templates: Path, hidden: str) -> None:
    mail = render_mail(templates, "a_mail", ["one@example.org"], {"what": f"cal{hidden}fits"})
    written_out = f"cal{ascii(hidden)[1:-1]}fits"
    assert mail.subject == f"[SRDP] {written_out}"
    assert mail.text == f"It is {written_out}.\n"
    assert mail.html == f"<p>It is {written_out}.</p>\n"


def test_letters_of_all_languages_stay(templates: Path) -> None:
    words = (
        "\xe9 \u0431\u0456\u043b\u044c \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d \u0928\u092e\u0938\u094d\u0924\u0947"
    )
    words += " \u65e5\u672c\u8a9e \ud55c\uad6d\uc5b4 \U0001f52d"
    mail = render_mail(templates, "a_mail", ["one@example.org"], {"what": words})
    assert mail.subject == f"[SRDP] {words}"
    assert words in mail.text
    assert words in mail.html


def test_no_subject_holds_an_encoded_word(templates: Path) -> None:
    word = "=?utf-8?q?x=0D=0ABcc:_all@example.org?="
    mail = render_mail(templates, "a_mail", ["one@example.org"], {"what": f"{word} =\0?utf-8?b?QUE?="})
    assert mail.subject == "[SRDP] = ?utf-8?q?x=0D=0ABcc:_all@example.org?= = ?utf-8?b?QUE?="
    assert word in mail.text


def test_a_long_subject_is_cut(templates: Path) -> None:
    mail = render_mail(templates, "a_mail", ["one@example.org"], {"what": "x" * 10000})
    assert len(mail.subject) == 240
    assert mail.subject.endswith("...")


def test_a_value_that_is_missing_is_an_error(templates: Path) -> None:
    with pytest.raises(Exception, match="'what' is undefined"):
        render_mail(templates, "a_mail", ["one@example.org"], {})


@given(what=st.text())
def test_whatever_it_holds_a_mail_can_be_made_and_encoded(templates: Path, what: str) -> None:
    mail = render_mail(templates, "a_mail", ["one@example.org"], {"what": what})
    assert mail.subject.isprintable()
    (mail.subject + mail.text + mail.html).encode("utf-8")
