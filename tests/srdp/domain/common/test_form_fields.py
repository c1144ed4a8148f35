"""What forms take, and what is said of the rest; of every DAG."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from srdp.domain.common.errors import Faults, InvalidInput
from srdp.domain.common.form_fields import Field, Form, real_number, says_nothing, text, truth, whole_number
from srdp.families import ALMA, VLA, families
from srdp.families.forms import FORMS

EB = "13A-537.sb24066356.eb24324502.56514.05971091435"
MOUS = "uid://A001/X1288/X3f"
RUN = "vla-20261122-182453-4f7k"
LINE = "TW_Hya, 25, 345.796, -5km/s, 0.25km/s, 80"

#: What suffices for each form.
ENOUGH: Mapping[str, Mapping[str, object]] = {
    "vla_calibration": {"execution_block": EB},
    "vla_rerun": {"run": EB},
    "vla_qa_pass": {"pipeline_run_id": RUN, "qa_flag": "Pass"},
    "vla_qa_fail": {"pipeline_run_id": RUN, "reason": "Bad weather."},
    "alma_imaging": {"mous": MOUS, "fields": "TW_Hya"},
    "alma_rerun": {"run": MOUS},
    "alma_ingest": {"pipeline_run_id": RUN},
    "alma_qa_fail": {"mous": MOUS, "reason": "Bad weather."},
    "alma_assign_qa": {"pipeline_run_id": RUN},
    **{family.withdraw_dag: {"pipeline_run_id": RUN, "reason": "Wrong flag."} for family in families()},
    **{family.cleanup_dag: {"pipeline_run_id": RUN} for family in families()},
}


def faults(dag_id: str, **given: object) -> list[str]:
    return FORMS[dag_id].faults({**ENOUGH.get(dag_id, {}), **given}).sentences


@pytest.fixture(params=FORMS)
def dag_id(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_what_suffices_is_taken_with_or_without_blanks_around_it(dag_id: str) -> None:
    assert faults(dag_id) == []
    pasted = {name: f" \t{value}\n" for name, value in ENOUGH.get(dag_id, {}).items()}
    assert faults(dag_id, **pasted) == []


def test_empty_means_the_same_in_every_form(dag_id: str) -> None:
    for name, field in FORMS[dag_id].fields.items():
        if name not in ENOUGH.get(dag_id, {}):
            reported = [faults(dag_id, **{name: empty}) for empty in (None, "", "  \n", "None")]
            assert all(each == reported[0] for each in reported)
            assert bool(reported[0]) == field.required, name


def test_what_must_be_filled_in_is_named_when_it_is_not(dag_id: str) -> None:
    form = FORMS[dag_id]
    reported = "\n".join(form.faults({}).sentences)
    for name, field in form.fields.items():
        assert (f"{field.title} ({name}) is empty" in reported) == (field.required and field.default is None)


def test_unknown_form_key_is_refused_with_the_known_ones(dag_id: str) -> None:
    (reported,) = faults(dag_id, no_such_field=1)
    assert "'no_such_field'" in reported
    assert all(name in reported for name in FORMS[dag_id].fields)


@pytest.mark.parametrize(
    ("dag", "key", "meant"),
    [
        ("expire_processing_area", "dryrun", "dry_run"),
        ("vla_rerun", "flagtemplate", "flag_template"),
        ("vla_rerun", "processing_request_txt", "processing_request_text"),
        ("vla_qa_pass", "qa_comment", "qa_comments"),
        ("vla_qa_fail", "executionblock", "execution_block"),
        ("alma_imaging", "field", "fields"),
    ],
)
def test_the_nearest_field_is_named(dag: str, key: str, meant: str) -> None:
    (reported,) = [each for each in faults(dag, **{key: "x"}) if "is not a field" in each]
    assert f"did you mean {meant}?" in reported


def test_a_dag_without_fields_takes_nothing() -> None:
    for name in ("check_settings", "send_mails_and_reconcile", "watch_observations"):
        assert faults(name, dryrun=True) == [f"{name} has no fields, but was given 'dryrun': start it without."]


def test_all_that_is_wrong_with_one_form_is_reported_at_once() -> None:
    reported = faults(
        "vla_rerun",
        run="../x",
        flagtemplate="/a",
        flag_template="/a",
        flag_template_text="mode='manual'",
        processing_request="relative.xml",
        cores=0,
        reopen="yes",
        casa_release="x" * 65,
    )
    assert len(reported) == 7


@pytest.mark.parametrize(
    ("dag", "field", "value", "says"),
    [
        ("vla_calibration", "execution_block", "../" + EB, "neither the name of a VLA execution block nor"),
        ("vla_calibration", "execution_block", EB + "; reboot", "neither"),
        ("vla_calibration", "execution_block", MOUS, "neither"),
        ("vla_calibration", "execution_block", "x" * 10_000, "neither"),
        ("vla_calibration", "execution_block", 7, "neither"),
        *(
            ("vla_calibration", "execution_block", hostile, "neither")
            for hostile in (
                [EB],
                {"$gt": 0},
                "../../../etc/passwd",
                f"{EB}/../x",
                f"{EB}; rm -rf /",
                f"{EB}' OR '1'='1",
                f"{EB}\r\nBcc: everybody@example.org",
                "{{ 7 * 7 }}",
                f"{'A' * 10_000}.sb1.eb1.56514.0",
                EB.replace("1", "\N{FULLWIDTH DIGIT ONE}"),
            )
        ),
        ("vla_calibration", "recipe", "", "is empty"),
        ("vla_calibration", "recipe", "x" * 41, "shorten it"),
        ("vla_calibration", "cores", 0, "a whole number from 1 to 1024"),
        ("vla_calibration", "cores", "many", "a whole number"),
        ("vla_calibration", "cores", True, "a whole number"),
        ("vla_calibration", "memory_gb", -1, "a whole number"),
        ("vla_calibration", "memory_gb", 1.5, "a whole number"),
        ("vla_rerun", "run", "vla-20261122-182453-4f7k; reboot", "neither a pipeline run ID nor an execution block"),
        ("vla_rerun", "run", MOUS, "neither"),
        ("alma_rerun", "run", EB, "neither a pipeline run ID nor a MOUS"),
        ("vla_rerun", "run", 7, "neither"),
        ("vla_rerun", "flag_template", 7, "is not text"),
        ("vla_rerun", "flag_template", "/" + "x" * 10_000, "too long a path"),
        ("vla_rerun", "flag_template", "flagtemplate.txt", "begin it with a slash"),
        ("vla_rerun", "flag_template_text", "x" * 1_000_001, "larger than"),
        ("vla_rerun", "flag_template_text", ["mode='manual'"], "is not text"),
        ("vla_rerun", "reopen", "yes", "either True or False"),
        ("vla_rerun", "reopen", None, "is empty"),
        ("vla_qa_pass", "pipeline_run_id", f"{RUN}/..", "is not a pipeline run ID"),
        ("vla_qa_pass", "qa_flag", "pass", "choose one of Pass, Fail, Null"),
        ("vla_qa_pass", "qa_score", 1.01, "a number from 0 to 1"),
        ("vla_qa_pass", "qa_score", -0.5, "a number from 0 to 1"),
        ("vla_qa_pass", "qa_score", "good", "a number from 0 to 1"),
        ("vla_qa_pass", "qa_score", "nan", "a number from 0 to 1"),
        ("vla_qa_pass", "qa_comments", "x" * 20_001, "shorten it to 20000"),
        ("vla_qa_pass", "qa_analyst", "a\nb", "several lines"),
        ("vla_qa_fail", "execution_block", RUN, "is not the name of a VLA execution block"),
        ("vla_qa_fail", "execution_block", EB, "exactly one"),
        ("vla_qa_fail", "project", "../13A-537", "is not a project code"),
        ("vla_qa_fail", "number", 7, "confirms a whole project"),
        ("vla_qa_fail", "number", 0, "a whole number"),
        ("vla_qa_fail", "reason", "x" * 1001, "shorten it to 1000"),
        ("alma_qa_fail", "mous", f"{MOUS}; reboot", "is not the UID of an ALMA MOUS"),
        ("vla_withdraw_verdict", "reason", "x" * 2001, "shorten it to 2000"),
        ("vla_withdraw_verdict", "reason", "\x00", "control characters"),
        ("alma_imaging", "mous", "uid___A001_X1288_X3f", "is not the UID of an ALMA MOUS"),
        ("alma_imaging", "fields", [], "No field is named"),
        ("alma_imaging", "fields", "x" * 100_001, "give a list, or text of at most"),
        ("alma_imaging", "cubes", 7, "The cubes are '7'"),
        ("alma_imaging", "cubes", "TW_Hya", "is no cube"),
        ("alma_imaging", "continuum", "yes", "either True or False"),
        ("alma_imaging", "angular_resolution_arcsec", 0, "a number from 0.001 to 100"),
        ("alma_imaging", "angular_resolution_arcsec", "fine", "a number from 0.001 to 100"),
        ("alma_imaging", "asked_by", "x" * 201, "is not a requester's name"),
        ("alma_imaging", "asked_by_email", "nobody", "is not an e-mail address"),
        ("alma_assign_qa", "data_analyst", "x" * 255, "shorten it to 254"),
        ("expire_processing_area", "dry_run", "yes", "either True or False"),
        ("expire_processing_area", "dry_run", None, "is empty"),
        ("expire_processing_area", "dry_run", 1, "either True or False"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(dag: str, field: str, value: object, says: str) -> None:
    reported = faults(dag, **{field: value})
    assert any(says in sentence for sentence in reported), reported
    assert all("\n" not in sentence and len(sentence) < 500 and "schema" not in sentence for sentence in reported)


@pytest.mark.parametrize(
    ("dag", "given"),
    [
        ("vla_calibration", {"execution_block": "uid://evla/execblock/00000000-0000-0000-0000-000000000007"}),
        ("vla_calibration", {"cores": "16", "memory_gb": 64.0}),
        ("vla_rerun", {"run": RUN, "flag_template_text": "\n\n mode='manual'\n", "casa_release": "6.6.1"}),
        ("vla_qa_pass", {"qa_score": "0.85", "qa_comments": "a\nb"}),
        ("vla_qa_fail", {"pipeline_run_id": None, "project": "22A-126", "number": "7"}),
        ("alma_imaging", {"fields": ["TW_Hya", "V_BP_Tau"]}),
        ("alma_imaging", {"cubes": LINE, "continuum": False, "asked_by": "Ada", "asked_by_email": "ada@example.org"}),
        ("expire_processing_area", {"dry_run": "true"}),
    ],
)
def test_what_people_and_programs_give_is_taken(dag: str, given: dict[str, object]) -> None:
    assert faults(dag, **given) == []


def test_of_several_ways_to_name_runs_exactly_one_is_given() -> None:
    for dag in (VLA.fail_dag, ALMA.fail_dag):
        assert len(FORMS[dag].faults({"reason": "Bad weather."}).sentences) == 1


def test_blanks_in_the_text_of_a_file_are_the_files() -> None:
    seen: list[object] = []
    shown = {"type": "string"}
    field = Field(title="File", description="A file.", parser=seen.append, shown=shown)
    verbatim = Field(title="File", description="A file.", parser=field.parser, shown=shown, verbatim=True)
    Form(dag_id="x", fields={"line": field, "file": verbatim}).faults({"line": " a ", "file": " a "})
    assert seen == ["a", " a "]


def test_faults_are_reported_once_in_order_and_not_without_end() -> None:
    collected = Faults()
    collected.refuse()
    for number in (1, 1, *range(60)):
        with collected.collected():
            raise InvalidInput(f"Line {number} is wrong.")
    with pytest.raises(InvalidInput) as refused, collected.together():
        raise InvalidInput("And this.")
    lines = str(refused.value).split("\n")
    assert lines[0] == "Line 1 is wrong."
    assert (len(lines), lines[-1]) == (51, "And 11 more.")


@pytest.mark.parametrize("value", [None, "", " \n", "None", [], {}])
def test_what_says_nothing(value: object) -> None:
    assert says_nothing(value)


@pytest.mark.parametrize("value", [0, False, "0", "no", [0]])
def test_what_says_something(value: object) -> None:
    assert not says_nothing(value)


def test_doors_return_the_value() -> None:
    assert [whole_number("N", 1, 9)(value) for value in (3, "3", " 3 ", 3.0, "3.0")] == [3] * 5
    assert [real_number("N", 0, 1)(value) for value in (1, "1", "1e-1", ".5")] == [1, 1, 0.1, 0.5]
    assert [truth("T")(value) for value in (True, "True", "false")] == [True, True, False]
    assert text("T", 3)("abc") == "abc"
