from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.srdp.domain.alma_files import ASKED, MOUS, asked

from srdp.domain.imaging.cube import CubeRequest
from srdp.domain.imaging.field_names import field_name
from srdp.domain.imaging.quantities import Axis, axis_of, in_ghz, in_km_s, quantity
from srdp.domain.imaging.request import ImagingRequest, ImagingRequestRefused, imaging_request

CUBE = {
    "field": "TW_Hya",
    "spw": 25,
    "rest_frequency_ghz": 345.796,
    "start": "-5km/s",
    "width": "0.25km/s",
    "channels": 80,
}


def refusal(**changes: object) -> list[str]:
    with pytest.raises(ImagingRequestRefused) as caught:
        asked(**changes)
    lines = str(caught.value).splitlines()
    assert lines
    assert all(line.isprintable() and line.endswith(".") for line in lines)
    return lines


# What is taken


def test_a_form_the_api_and_the_ledger_give_the_same_request() -> None:
    cubes = [CUBE, {**CUBE, "field": "V*_BP_Tau", "spw": 27, "rest_frequency_ghz": 330.588, "start": "330.1GHz",
                    "width": "488.28kHz", "channels": 960}]  # fmt: skip
    form = asked(continuum="True", self_calibration="False", angular_resolution_arcsec=" 0.50 ")
    api = asked(fields=["TW_Hya", "V*_BP_Tau"], cubes=cubes, angular_resolution_arcsec=0.5)
    text = asked(fields=json.dumps(["TW_Hya", "V*_BP_Tau"]), cubes=json.dumps(cubes))
    assert form == api == text == ImagingRequest.from_json(json.loads(json.dumps(form.as_json())))
    assert form.digest == api.digest
    assert re.fullmatch("[0-9a-f]{64}", form.digest)
    assert form.cubes[1] == CubeRequest(**cubes[1])


def test_an_address_may_have_blanks_around_it() -> None:
    assert asked(asked_by_email=" a@example.org ").asked_by_email == "a@example.org"


@pytest.mark.parametrize("nothing", [None, "", " ", "None"])
def test_what_is_left_empty_says_nothing(nothing: str | None) -> None:
    request = asked(cubes=nothing, angular_resolution_arcsec=nothing, self_calibration=nothing, asked_by_email=nothing)
    assert (request.cubes, request.angular_resolution_arcsec, request.asked_by_email) == ((), None, None)
    assert not request.self_calibration
    assert refusal(fields=nothing)[0] == "No field is named: name at least one."
    assert refusal(continuum=nothing, cubes=nothing) == [
        "Neither the continuum nor a cube is asked for: ask for at least one of them."
    ]


def test_of_every_field_an_image_is_asked_for() -> None:
    sentence = "No image is asked for of the field '{}': ask for the continuum or a cube, or leave it out."
    wanted = [sentence.format(name) for name in ("V*_BP_Tau", "c")]
    assert refusal(fields="c, V*_BP_Tau, TW_Hya", cubes=[CUBE], continuum=False) == wanted
    assert refusal(fields="TW_Hya, c", cubes=[{**CUBE, "channels": 0}], continuum="")[1:] == wanted[1:]
    # Of which field a cube is that cannot be read, nobody knows.
    assert len(refusal(fields="TW_Hya, c", cubes=[CUBE, 3], continuum=False)) == 1
    assert asked(fields="c, TW_Hya", cubes=[CUBE], continuum=True).fields == ("c", "TW_Hya")


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"asked_by": "somebody else", "asked_by_email": None}, True),
        ({"fields": "V*_BP_Tau, TW_Hya"}, True),
        ({"cubes": "\n".join(reversed(ASKED["cubes"].split("\n")))}, True),
        ({"cubes": ASKED["cubes"].replace("345.796", "345.7960").replace("-5km/s", "-5000.0 M/S")}, False),
        ({"cubes": ASKED["cubes"].replace("345.796", "345.7960").replace("-5km/s", "-5.0 KM/S")}, True),
        ({"fields": "TW_Hya, V*_BP_Tau, c"}, False),
        ({"continuum": False}, False),
        ({"self_calibration": True}, False),
        ({"angular_resolution_arcsec": None}, False),
        ({"mous": "uid://A001/X1288/X40"}, False),
        ({"cubes": ASKED["cubes"].split("\n")[0]}, False),
        *(({"cubes": [{**CUBE, **other}]}, False) for other in ({}, {"channels": 81}, {"width": "0.3km/s"})),
    ],
)
def test_the_digest_reports_apart_what_is_asked_and_not_who_asks(change: dict[str, object], *, same: bool) -> None:
    assert (asked(**change).digest == asked().digest) == same


@pytest.mark.parametrize(
    ("text", "checked", "axis"),
    [
        ("0", "0", Axis.CHANNEL),
        ("+007", "7", Axis.CHANNEL),
        (12, "12", Axis.CHANNEL),
        ("-10.50km/s", "-10.5km/s", Axis.VELOCITY),
        ("-0.0 m/s", "0m/s", Axis.VELOCITY),
        (".5km/s", "0.5km/s", Axis.VELOCITY),
        ("230.ghz", "230GHz", Axis.FREQUENCY),
        ("100000MHz", "100000MHz", Axis.FREQUENCY),
    ],
)
def test_a_quantity_has_one_spelling(text: object, checked: str, axis: Axis) -> None:
    assert quantity(text) == checked == quantity(checked)
    assert axis_of(checked) is axis


def test_quantities_are_converted() -> None:
    assert [in_ghz(text) for text in ("230.5GHz", "230500MHz", "230500000kHz")] == pytest.approx([230.5] * 3)
    assert [in_km_s(text) for text in ("-5km/s", "-5000m/s")] == pytest.approx([-5, -5])


# What is refused, all at once


def test_everything_that_is_wrong_is_reported_at_once() -> None:
    lines = refusal(
        mous="uid://A001/X1288",
        fields="a{b, c, c",
        cubes=[{**CUBE, "start": "5", "channels": 0}, {**CUBE, "field": "d", "colour": "red"}, 3],
        continuum="perhaps",
        angular_resolution_arcsec="0.5arcsec",
        asked_by="",
        asked_by_email="a@b",
    )
    wanted = [
        "'uid://A001/X1288' is not the UID of an ALMA MOUS",
        "The field 'a{b' has a '{' in its name",
        "Continuum is 'perhaps'",
        "Cube 1: The number of channels is '0'",
        "Cube 2: 'colour' is not known in a request",
        "Cube 3: '3' is not allowed there",
        "The angular resolution is '0.5arcsec': write a number from 0.001 to 100, in arcseconds and without the unit",
        "'' is not a requester's name",
        "'a@b' is not an e-mail address",
        "The field 'c' is named 2 times",
        "A cube is asked for of 'TW_Hya', which is not among the fields",
        "A cube is asked for of 'd', which is not among the fields",
    ]
    assert [part for part in wanted if not any(part in line for line in lines)] == []
    assert len(lines) == len(wanted)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"start": "5"},
            "The start 5 is a channel and the width 0.25km/s is a velocity: give both in the same way.",
        ),
        ({"start": "-1", "width": "1"}, "'-1' is no channel, velocity or frequency"),
        ({"start": "300000km/s"}, "is faster than light"),
        ({"start": "2GHz", "width": "1MHz"}, "is no frequency that ALMA observes"),
        ({"start": ""}, "is no channel, velocity or frequency"),
        ({"start": "1.5", "width": "1"}, "is no channel, velocity or frequency"),
        ({"start": "5 parsec"}, "is no channel, velocity or frequency"),
        ({"width": "-0.0km/s"}, "The width '0km/s' is not a width"),
        ({"spw": "25,27"}, "The spectral window is '25,27'"),
        ({"spw": True}, "The spectral window is 'True'"),
        ({"rest_frequency_ghz": "345.796GHz"}, "in GHz and without the unit"),
        ({"rest_frequency_ghz": "345_796e-3"}, "The rest frequency is '345_796e-3'"),
        ({"rest_frequency_ghz": float("nan")}, "The rest frequency is 'nan'"),
        ({"rest_frequency_ghz": 345796}, "write a number from 30 to 20000"),
        ({"channels": 80.5}, "The number of channels is '80.5'"),
        ({"width": "1000km/s", "channels": 400}, "The cube reaches from 345.802GHz to -114.425GHz"),
        ({"start": "345GHz", "width": "1GHz", "channels": 657}, "The cube reaches from 345GHz to 1001GHz"),
        ({"start": "290000km/s"}, "The cube reaches from 11.2951GHz to 11.2723GHz"),
        ({"rest_frequency_ghz": 3457.96}, "The cube reaches from 3458.02GHz to 3457.79GHz, and ALMA observes 30GHz to"),
        ({"start": "16383", "width": "1", "channels": 2}, "The cube reaches to channel 16384, and no spectral window"),
        ({"start": "9" * 30, "width": "1"}, "and no spectral window has more than 16384"),
        ({"channels": 10**30}, "from 1 to 16384"),
    ],
)
def test_a_cube_that_cannot_be_made_is_named_with_its_fix(change: dict[str, object], sentence: str) -> None:
    [line] = refusal(cubes=[CUBE, {**CUBE, "spw": 27, **change}])
    assert line.startswith("Cube 2: ")
    assert sentence in line


@pytest.mark.parametrize(
    "change",
    [
        {"rest_frequency_ghz": 1900.537, "start": "249500km/s", "width": "20km/s"},
        {"start": "900GHz", "width": "-10000MHz", "channels": 80},
        {"start": "0", "width": "2", "channels": 8192},
    ],
)
def test_a_cube_within_what_alma_observes_is_taken(change: dict[str, object]) -> None:
    assert asked(cubes=[{**CUBE, **change}]).cubes[0].start == change["start"]


@pytest.mark.parametrize(
    "change",
    [
        {"cubes": ",,,,,\n" * 16_000},
        {"cubes": "\n".join(f"a{number}, 1, 345, 0, 1, 5" for number in range(4000))},
        {"fields": "\n".join(f"{number:x}z\n{number:x}z" for number in range(8000)), "cubes": None},
    ],
    ids=["cubes", "fields of cubes", "fields"],
)
def test_what_was_pasted_by_mistake_is_not_reported_line_by_line(change: dict[str, object]) -> None:
    """... for it goes into the task's log, into Airflow's database and into a mail."""
    lines = refusal(**change)
    assert len(lines) <= 51
    assert lines[-1].startswith("And ")
    assert lines[-1].endswith(" more.")


@pytest.mark.parametrize("key", sorted(CUBE))
def test_a_cube_says_all_of_itself(key: str) -> None:
    lines = refusal(cubes=[{name: value for name, value in CUBE.items() if name != key}])
    assert f"Cube 1: There is no {key}: give one." in lines


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"cubes": "TW_Hya, 25, 345.796"}, "is no cube: write field, spw, rest frequency in GHz, start, width, chan"),
        ({"cubes": "[1, 2"}, "which is no JSON"),
        ({"cubes": "[" * 90_000}, "which is no JSON"),
        ({"cubes": {"field": "x"}}, "give a list, or text"),
        ({"fields": 3}, "give a list, or text"),
        ({"fields": "x" * 200_000}, "give a list, or text of at most"),
        (
            {"fields": [f"a{number}" for number in range(300)], "cubes": None},
            "There are 300 fields: ask for at most 200",
        ),
        ({"cubes": [{**CUBE, "spw": number} for number in range(101)]}, "There are 101 cubes: ask for at most 100"),
        (
            {"cubes": [CUBE, {**CUBE, "spw": 27}, CUBE]},
            "One cube of the field 'TW_Hya' in spectral window 25 is asked for 2 times: ask for it once.",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 60 else "",
)
def test_lists_that_cannot_be_taken_are_refused(change: dict[str, object], sentence: str) -> None:
    [line] = refusal(**change)
    assert sentence in line


def test_cubes_of_one_window_are_taken_in_any_order() -> None:
    line, other = dict(CUBE), {**CUBE, "rest_frequency_ghz": 345.9}
    assert len(asked(cubes=[line, other]).cubes) == 2
    assert asked(cubes=[line, other]).digest == asked(cubes=[other, line]).digest != asked(cubes=[line]).digest


@pytest.mark.parametrize(
    "name",
    [
        *("", " ", "*", "_", "*_*", 'a"b', "a\\b", "a[1]", "{x}", "<a>", "a\nb", "a\tb", "a\0", "\u00e9", "x" * 65),
        *(3, None, ["a"]),
    ],
)
def test_what_no_selection_selects_alone_is_refused(name: object) -> None:
    with pytest.raises(ImagingRequestRefused):
        asked(fields=[name], cubes=None)


@pytest.mark.parametrize("name", ["007", "1.5", "1E5", "1E0657", "None", "True", "false", "NaN", "infinity", "1_0"])
def test_ambiguous_field_name_is_refused(name: str) -> None:
    [line] = refusal(fields=[name], cubes=None)
    assert "something else than this name" in line


def test_names_with_commas_are_quoted_in_text() -> None:
    request = asked(
        fields='"NGC 253, north", W3(OH)\nTW Hya', cubes='"NGC 253, north", 25, 345.796, 0, 1, 8', continuum=True
    )
    assert request.fields == ("NGC 253, north", "W3(OH)", "TW Hya")
    assert request.cubes[0].field == "NGC 253, north"


def test_fields_with_equal_image_names_are_refused() -> None:
    [line] = refusal(fields=["TW Hya", "TW=Hya", "TW_Hya"], cubes=None)
    assert "The images of 'TW Hya', 'TW=Hya' would have the same names: ask for each in a request of its own." in line


@pytest.mark.parametrize(
    "name",
    [
        *("TW_Hya", "J0433-2100", "V*_BP_Tau", "*_alf_Boo", "3C273", "1E_0657-56", "NGC_253+x", "a.b", "SgrA*"),
        *("W3(OH)", "TW Hya", "helm=30", "1", "a,b", "a;b", "a&b", "O'Neil", "G345.49+1.47", "-1", "5~6", "a/b"),
    ],
)
def test_names_of_sources_are_taken(name: str) -> None:
    assert field_name(name) == name


@pytest.mark.parametrize(
    "obj",
    [
        *(None, 3, "x", [], {}, {"mous": MOUS}),
        *({**asked().as_json(), **change} for change in ({"fields": None}, {"fields": "TW_Hya"}, {"more": 1})),
    ],
)
def test_invalid_ledger_request_is_refused(obj: object) -> None:
    with pytest.raises(ImagingRequestRefused, match=r"\.$"):
        ImagingRequest.from_json(obj)


def test_a_request_cannot_be_made_around_the_parser() -> None:
    with pytest.raises(ValueError, match="is not the name of a field"):
        ImagingRequest(mous=MOUS, fields=("*",), continuum=True, asked_by="x")
    with pytest.raises(ValueError, match="Neither the continuum nor a cube"):
        ImagingRequest(mous=MOUS, fields=("a",), asked_by="x")


# --- properties -----------------------------------------------------------------------------------------------------

junk = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30) | st.sampled_from([*"[]{},;\n'"])
junks = st.recursive(
    junk,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*CUBE, "x"]), inner),
    max_leaves=12,
)


@given(st.fixed_dictionaries({name: junks | st.just(ASKED.get(name)) for name in [*ASKED, "self_calibration"]}))
def test_whatever_is_given_the_answer_is_a_request_or_sentences(given_: dict[str, object]) -> None:
    try:
        request = imaging_request(**given_)
    except ImagingRequestRefused as refused:
        lines = str(refused).split("\n")
        assert all(line.isprintable() and line.endswith(".") for line in lines)
        assert len(set(lines)) == len(lines)
        return
    assert ImagingRequest.from_json(request.as_json()) == request


names = st.from_regex(r"[A-Z][A-Za-z0-9+\-_*]{0,20}", fullmatch=True).filter(
    lambda name: name.lower() not in {"none", "true", "false", "nan", "inf", "infinity"}
)
numbers = st.decimals(min_value="0.001", max_value="1000", places=4)
axes = st.sampled_from([("{:.0f}", "{:.0f}"), ("-{}km/s", "{}m/s"), ("{}m/s", "-{}km/s"), ("300.{:.0f}GHz", "{}kHz")])


@given(st.lists(names, min_size=1, max_size=6, unique=True), st.data())
def test_what_is_good_is_taken_and_comes_back_from_the_ledger(fields: list[str], data: st.DataObject) -> None:
    cubes = []
    for spw, field in enumerate(data.draw(st.lists(st.sampled_from(fields), max_size=5))):
        start, width = data.draw(axes)
        number = data.draw(numbers)
        line = f"{field}, {spw}, {31 + number * 9 / 10}, {start.format(number)}, {width.format(1 + number)}, {spw + 1}"
        cubes.append(line)
    request = asked(fields="\n".join(fields), cubes="\n".join(cubes), continuum=True)
    assert request.fields == tuple(fields)
    assert len(request.cubes) == len(cubes)
    again = ImagingRequest.from_json(json.loads(json.dumps(request.as_json())))
    assert (again, again.digest) == (request, request.digest)
