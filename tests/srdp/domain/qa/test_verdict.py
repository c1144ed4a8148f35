from __future__ import annotations

import html
import re
import time
from datetime import UTC, datetime, timedelta, timezone
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from srdp.domain.common.errors import InvalidInput
from srdp.domain.qa.notes import render_html, render_plain
from srdp.domain.qa.report import QaReport, parse_qa_report
from srdp.domain.qa.verdict import QaFlag, QaVerdict, changes, qa_flag, qa_verdict

TEMPLATE = """qa_standard: SRDP Pilot <br>
qa_analyst: Your Name Here <br>
qa_status: Pass/Fail <br>
qa_comments: Add comments if needed
"""
FILLED_IN = """qa_standard: SRDP Pilot <br>
qa_analyst: Ada Lovelace <br>
qa_status: Pass <br>
qa_comments: All good,
but ea12 is noisy.
"""
SENTENCE = re.compile(r"[^\n]+\.")


def reported(call) -> str:
    with pytest.raises(InvalidInput) as reported_to_the_analyst:
        call()
    sentence = str(reported_to_the_analyst.value)
    assert SENTENCE.fullmatch(sentence)
    assert sentence.isprintable()
    return sentence


# --- the report ----------------------------------------------------------------------------------------------------


def test_an_untouched_template_says_nothing() -> None:
    # Its standard is the default, which is what it would be anyway.
    assert parse_qa_report(TEMPLATE) == QaReport(standard="SRDP Pilot")


def test_reads_the_template_filled_in() -> None:
    assert parse_qa_report(FILLED_IN) == QaReport(
        standard="SRDP Pilot", analyst="Ada Lovelace", status="Pass", comments="All good,\nbut ea12 is noisy."
    )


@pytest.mark.parametrize("line_end", ["\r\n", "\r", "<br>", "<BR/>\n", " <br />\r\n", "\u2028"])
def test_knows_every_line_end(line_end: str) -> None:
    report = parse_qa_report(f"QA_Analyst : Ada{line_end}qa_status:Fail{line_end}")
    assert report == QaReport(analyst="Ada", status="Fail")


def test_unknown_lines_are_text_and_later_lines_comments() -> None:
    report = parse_qa_report(
        "Checked twice: <ea12>\nqa_analyst: Ada\n\nqa_rms: 1 mJy\nqa_comments: one\ntwo: 2\nqa_score: 0.5"
    )
    assert report == QaReport(
        analyst="Ada", score="0.5", comments="one\ntwo: 2", text="Checked twice: <ea12>\n\nqa_rms: 1 mJy"
    )


def test_a_date_in_the_report_is_not_the_date_of_the_ingest() -> None:
    assert parse_qa_report("qa_date: 1995-04-13") == QaReport()


def test_a_key_may_be_repeated_but_not_contradicted() -> None:
    assert parse_qa_report("qa_status: Pass\nQA_Status: Pass\nqa_status:").status == "Pass"
    sentence = reported(lambda: parse_qa_report("qa_status: Pass\n\nQA_Status: Fail", "notes.txt"))
    assert sentence == "notes.txt, line 3, says qa_status 'Fail', but 'Pass' before: keep one of them."


# --- the verdict ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("flag", "score"), [("Pass", 1.0), ("Fail", 0.0), ("Null", None)])
def test_defaults(flag: str, score: float | None) -> None:
    assert qa_verdict(qa_flag(flag)) == QaVerdict(QaFlag(flag), standard="SRDP Pilot", analyst="", score=score)


def test_a_line_that_is_put_together_hides_no_line_break() -> None:
    assert qa_verdict(QaFlag.PASS, analyst="Ada<br<br>> \tLovelace").analyst == "Ada Lovelace"


@pytest.mark.parametrize("value", ["pass", "", None, "Passed", 1, "Pass\n"])
def test_knows_three_flags(value: object) -> None:
    assert "choose Pass, Fail or Null" in reported(lambda: qa_flag(value))


@pytest.mark.parametrize("flag", list(QaFlag))
@pytest.mark.parametrize("status", ["Pass", "FAIL", "null", "Passed", "Pass with comments"])
def test_a_report_that_contradicts_the_flag_is_refused(flag: QaFlag, status: str) -> None:
    report = parse_qa_report(f"qa_status: {status}")
    if status.lower() == flag.value.lower():
        assert qa_verdict(flag, report).flag is flag
    else:
        assert reported(lambda: qa_verdict(flag, report)) == (
            f"The QA report says qa_status '{status}', but the QA flag is {flag}: make them agree, or take qa_status "
            "out of the report."
        )


def test_form_precedes_report_and_comments_are_kept() -> None:
    report = QaReport(standard="theirs", analyst="Grace", score="0.5", comments="from the report", text="and more")
    assert qa_verdict(QaFlag.PASS, report) == QaVerdict(
        QaFlag.PASS, "theirs", "Grace", 0.5, "from the report", "and more"
    )
    assert qa_verdict(QaFlag.PASS, report, standard="ours", analyst="Ada", score="0.25", comments="typed") == QaVerdict(
        QaFlag.PASS, "ours", "Ada", 0.25, "typed\nfrom the report", "and more"
    )
    assert qa_verdict(QaFlag.PASS, report, standard=" ", analyst="", score="", comments="from the report") == QaVerdict(
        QaFlag.PASS, "theirs", "Grace", 0.5, "from the report", "and more"
    )


@pytest.mark.parametrize("score", ["nan", "inf", "1e9", "one", "1,5", "٣", "--1", float("nan"), "1.01", -0.5, 80])
def test_a_score_is_a_number_from_0_to_1(score: str | float) -> None:
    assert "write a number from 0 to 1" in reported(lambda: qa_verdict(QaFlag.PASS, score=score))
    assert "is not a number" in reported(lambda: QaVerdict(QaFlag.PASS, score=float("nan")))


@pytest.mark.parametrize(
    "field",
    [
        {"analyst": "Ada QA_Status: Fail"},
        {"standard": "x" * 201},
        {"comments": "fine\n qa_status: Fail"},
        {"comments": "fine\u2028QA_Status : Fail"},
        {"comments": "fine<br>QA_Standard: mine"},
        {"comments": "x" * 20_001},
    ],
)
def test_no_field_can_smuggle_in_a_key_or_a_novel(field: dict[str, str]) -> None:
    reported(lambda: qa_verdict(QaFlag.PASS, **field))


@pytest.mark.parametrize("field", [{"analyst": "Ada\nx"}, {"comments": "a\0b"}, {"report_text": "a\rb"}])
def test_only_what_was_cleaned_becomes_a_verdict(field: dict[str, str]) -> None:
    reported(lambda: QaVerdict(QaFlag.PASS, **field))


def test_hidden_characters_are_escaped_and_letters_kept() -> None:
    words = "\u05e9\u05dc\u05d5\u05dd \u65e5\u672c\u8a9e"
    report = parse_qa_report(f"qa_st\u200batus: Fail\n\u202ekcehc\n{words}")
    verdict = qa_verdict(QaFlag.PASS, report, analyst="\ufeffAda\u2066", comments="fi\u00adne")
    assert verdict.report_text.split("\n") == [
        "qa_st\\u200batus: Fail",
        "\\u202ekcehc",
        "\u05e9\u05dc\u05d5\u05dd \u65e5\u672c\u8a9e",
    ]
    assert (verdict.analyst, verdict.comments) == ("\\ufeffAda\\u2066", "fi\\xadne")


def test_a_verdict_of_an_earlier_release_is_still_one() -> None:
    assert QaVerdict(QaFlag.PASS, analyst="\u0645\u06cc\u200c\u062e", comments="a\u200db").comments == "a\u200db"


# --- the notes -----------------------------------------------------------------------------------------------------


def test_notes_satisfy_the_template_and_the_archive_clients() -> None:
    verdict = qa_verdict(QaFlag.PASS, parse_qa_report(FILLED_IN + "qa_analyst: Ada Lovelace\nseen <twice>"))
    when = datetime(2026, 11, 22, 20, 24, 53, 999, timezone(timedelta(hours=1)))
    assert render_html(verdict, when=when) == (
        "QA_Standard: SRDP Pilot <br>\n"
        "QA_Status: Pass <br>\n"
        "qa_standard: SRDP Pilot <br>\n"
        "qa_analyst: Ada Lovelace <br>\n"
        "qa_status: Pass <br>\n"
        "qa_score: 1 <br>\n"
        "qa_date: 2026-11-22 19:24:53 UTC <br>\n"
        "seen &lt;twice&gt; <br>\n"
        "qa_comments: All good, <br>\n"
        "but ea12 is noisy.\n"
    )
    assert render_plain(verdict, when=when).splitlines()[-3:] == [
        "seen <twice>",
        "qa_comments: All good,",
        "but ea12 is noisy.",
    ]


def test_a_null_verdict_has_no_score() -> None:
    assert "qa_status: Null <br>\nqa_score: <br>\nqa_comments:\n" in render_html(qa_verdict(QaFlag.NULL))


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.text = ""
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        assert not attrs
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        self.tags.add("/" + tag)

    def other(self, what: str) -> None:
        self.tags.add(what)

    handle_comment = handle_decl = unknown_decl = handle_pi = other

    def handle_data(self, data: str) -> None:
        self.text += data


pieces = st.sampled_from(
    [
        *("<br>", "<br", " />", "<script>", "</pre>", "<!--", "<?", "<![CDATA[", "&amp;", "qa_status:", "'", '"'),
        *("\n", "\r\n", "\u2028", "\0", "\u202e"),
    ]
)
texts = st.lists(st.one_of(pieces, st.text(st.characters(), max_size=10)), max_size=12).map("".join)


@st.composite
def verdicts(draw: st.DrawFn) -> QaVerdict:
    """Verdicts as analysts may give them; what is refused is not drawn."""
    flag, report = draw(st.sampled_from(QaFlag)), draw(texts)
    fields = {name: draw(texts) for name in ("standard", "analyst", "comments")}
    try:
        return qa_verdict(flag, parse_qa_report(report), **fields)
    except InvalidInput:
        reject()


@given(verdicts())
def test_any_text_becomes_escaped_html_that_says_the_same(verdict: QaVerdict) -> None:
    plain, content, page = render_plain(verdict), render_html(verdict), Page()
    page.feed(content)
    page.close()
    assert page.tags <= {"br"}
    assert content.encode().decode() == content
    assert [line.rstrip() for line in page.text.split("\n")] == [*plain.split("\n"), ""]
    assert not re.search(r"<\s*br\s*/?\s*>", plain)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202e]", content)


@given(verdicts())
def test_what_was_written_reads_as_the_same_verdict(verdict: QaVerdict) -> None:
    page = html.unescape(render_html(verdict, when=datetime.now(UTC)).replace(" <br>", ""))
    for written in (render_plain(verdict), page):
        assert qa_verdict(verdict.flag, parse_qa_report(written)) == verdict


@given(verdicts())
def test_both_spellings_of_the_verdict_are_found(verdict: QaVerdict) -> None:
    notes = render_plain(verdict)
    for key, value in (("QA_Standard", verdict.standard), ("QA_Status", verdict.flag.value)):
        for spelling in (key, key.lower()):
            assert notes.split(f"{spelling}:", 1)[1].split("\n", 1)[0].strip() == value
            assert re.findall(rf"(?m)^{spelling}:[ ]*(.*)$", notes) == [value]


@pytest.mark.parametrize("begin", ["", "<", "<br"])
def test_a_long_row_of_blanks_takes_no_time(begin: str) -> None:
    blanks = " " * 200_000
    began = time.monotonic()
    report = parse_qa_report(f"a{begin}{blanks}b\n")
    assert time.monotonic() - began < 5
    assert report.text == f"a{begin}{blanks}b"


# --- a verdict that is changed -------------------------------------------------------------------------------------

BEFORE = QaVerdict(QaFlag.FAIL, "SRDP 2", "Ada", 0.3, "Strong RFI", "[x] Flux?")


@pytest.mark.parametrize(
    ("flag", "said", "expected"),
    [
        (QaFlag.PASS, {}, QaVerdict(QaFlag.PASS, "SRDP 2", "Ada", 1.0, "Strong RFI", "[x] Flux?")),
        (QaFlag.FAIL, {"comments": " "}, BEFORE),
        (QaFlag.PASS, {"score": "0.8"}, QaVerdict(QaFlag.PASS, "SRDP 2", "Ada", 0.8, "Strong RFI", "[x] Flux?")),
        (QaFlag.NULL, {"analyst": "Bob"}, QaVerdict(QaFlag.NULL, "SRDP 2", "Bob", None, "Strong RFI", "[x] Flux?")),
        (
            QaFlag.PASS,
            {"report": QaReport(comments="Better", text="[x] Beam?"), "standard": "SRDP 3"},
            QaVerdict(QaFlag.PASS, "SRDP 3", "Ada", 1.0, "Better", "[x] Beam?"),
        ),
    ],
)
def test_changed_verdict_keeps_what_is_not_given_again(flag: QaFlag, said: dict[str, Any], expected: QaVerdict) -> None:
    assert qa_verdict(flag, **said, former=BEFORE) == expected


def test_author_is_authenticated_user_with_named_person() -> None:
    named = qa_verdict(QaFlag.PASS, parse_qa_report("qa_analyst: Ada"), given_by="jdoe")
    assert (named.author, QaVerdict(QaFlag.PASS, given_by="jdoe").author) == ("given by jdoe for Ada", "jdoe")
    for notes in (render_plain(named), render_html(named)):
        assert "qa_analyst: given by jdoe for Ada" in notes
    assert QaVerdict(QaFlag.PASS, analyst="Ada").author == "Ada"  # of an earlier release


def test_who_was_named_is_kept_only_by_who_named_that_person() -> None:
    former = QaVerdict(QaFlag.PASS, analyst="Ada", given_by="jdoe")
    assert qa_verdict(QaFlag.FAIL, former=former, given_by="jdoe").author == "given by jdoe for Ada"
    by_another = qa_verdict(QaFlag.FAIL, former=former, given_by="mallory")
    assert by_another.author == "mallory"
    assert "Analyst: from given by jdoe for Ada to mallory" in changes(former, by_another)
    # The same verdict again stays as it is, no matter who gives it.
    assert qa_verdict(QaFlag.PASS, former=former, given_by="mallory") == former


def test_verdict_by_another_analyst_gives_a_warning() -> None:
    verdict = qa_verdict(QaFlag.PASS, given_by="jdoe", assigned_to="ada@example.org")
    warning = "The review was assigned to ada@example.org, but jdoe has given the verdict."
    for notes in (render_plain(verdict), render_html(verdict)):
        assert f"Warning: {warning}" in notes


def test_what_a_change_changed_is_reported_from_what_to_what() -> None:
    after = QaVerdict(QaFlag.PASS, "SRDP 2", "", 1.0, "Strong RFI", "[x] Beam?")
    assert changes(BEFORE, after) == [
        "QA flag: from Fail to Pass",
        "Analyst: from Ada to none",
        "Score: from 0.3 to 1",
        "The report was changed",
    ]
    assert changes(BEFORE, BEFORE) == []


@pytest.mark.parametrize(
    ("report", "reported"),
    [
        ("", None),
        ("[x] a\n [X] b\n- [\u2713] c", None),
        ("[ ] a\n[] b\n[x] c", "2 of the 3 boxes of the checklist in the QA report are not ticked."),
        ("text with [ ] in it\n[17] a reference", None),
    ],
)
def test_boxes_that_are_not_ticked_are_reported_in_the_notes(report: str, reported: str | None) -> None:
    verdict = QaVerdict(QaFlag.PASS, report_text=report)
    assert verdict.warnings == (() if reported is None else (reported,))
    for notes in (render_plain(verdict), render_html(verdict), render_html(verdict, report="qa_report.txt")):
        assert (f"Warning: {reported}" in notes) == (reported is not None)
