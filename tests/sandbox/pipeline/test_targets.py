"""Names, sizes and choices of ALMA's recipe; without CASA."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.pipeline.context import Context, StageOrderError, directories_of, now
from sandbox.pipeline.observation import Antenna, Field, Observation, Scan, SpectralWindow
from sandbox.pipeline.ppr import ProcessingRequest
from sandbox.pipeline.sizes import Geometry, ProductSizes, TooLargeError, easy_size, mitigate, product_sizes
from sandbox.pipeline.stages import target_imaging
from sandbox.pipeline.stages.export import hifa_exportdata
from sandbox.pipeline.stages.prechecks import angular_resolution, choose_weighting
from sandbox.pipeline.stages.target_data import flag_template, hif_uvcontsub
from sandbox.pipeline.stages.target_imaging import hif_editimlist, hif_makeimages, hif_makeimlist
from sandbox.pipeline.targets import Targets, UnknownTargetError, image_name

_MOUS = "uid___A001_X1288_X3f"
_TARGET = frozenset({"OBSERVE_TARGET"})
_OBSERVATION = Observation(
    vis="a_targets.ms",
    telescope="ALMA",
    integration=6.0,
    fields=(
        Field(0, "J1", frozenset({"CALIBRATE_PHASE"})),
        Field(2, "M100", _TARGET),
        Field(3, "M100", _TARGET),
        Field(4, "a, b", _TARGET),
    ),
    scans=(Scan(1, 2, 4.3e9, 4.3e9 + 60),),
    antennas=(Antenna("DA41", "A1", (0.0, 0.0, 0.0)), Antenna("DA42", "A2", (300.0, 0.0, 0.0))),
    spectral_windows=(SpectralWindow(25, 24, 230.5e9, 2e6), SpectralWindow(27, 128, 232.5e9, 2e6)),
)


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    (tmp_path / "working").mkdir()
    monkeypatch.chdir(tmp_path / "working")
    request = ProcessingRequest(
        Path("PPR.xml"), "2019.1.1.S", "hifa_cubeimage", ".", ("a",), (), "uid://A001/X1288/X3f"
    )
    made = Context(request, directories_of(".", {}), now())
    made.targets.observations["a_targets.ms"] = _OBSERVATION
    return made


@pytest.fixture
def targets(context: Context) -> Targets:
    return context.targets


def test_fields_are_the_targets_each_once(targets: Targets):
    assert targets.fields == ("M100", "a, b")
    assert targets.field_numbers("M100") == ["2,3"]


@pytest.mark.parametrize(
    ("asked", "chosen"),
    [("", ("M100", "a, b")), ("M100", ("M100",)), ("a, b", ("a, b",)), (["M100"], ("M100",))],
    ids=["all", "one", "with a comma", "list"],
)
def test_choose_fields(targets: Targets, asked: object, chosen: tuple[str, ...]):
    assert targets.choose_fields(asked) == chosen


@pytest.mark.parametrize("asked", ["J1", "M100,M83", 16], ids=str)
def test_what_is_no_target_is_refused(targets: Targets, asked: object):
    with pytest.raises(UnknownTargetError, match="M100"):
        targets.choose_fields(asked)


def test_choose_windows(targets: Targets):
    assert targets.choose_windows("") == (25, 27)
    assert targets.choose_windows(27) == (27,)  # the PPR's reader casts
    assert targets.choose_windows("25, 27") == (25, 27)
    with pytest.raises(UnknownTargetError, match="those are 25, 27"):
        targets.choose_windows("0")


def edit(context: Context, **parameters: object):
    """Add a cube of M100 in window 25 to the list."""
    return hif_editimlist(context, **{"imaging_mode": "ALMA", "field": "M100", "spw": 25, **parameters})


def test_images_are_named_as_the_archive_knows_them(context: Context):
    hif_makeimlist(context, specmode="cont", field="M100")
    hif_makeimlist(context, specmode="mfs", field="M100")
    edit(context, restfreq="230.5GHz", start="1km/s", width="2km/s", nbin=-1, nchan=3)
    assert [target.name for target in context.targets.listed] == [
        f"{_MOUS}.M100_sci.spw25_27.cont.regcal.I",
        f"{_MOUS}.M100_sci.spw25.mfs.regcal.I",
        f"{_MOUS}.M100_sci.spw27.mfs.regcal.I",
        f"{_MOUS}.M100_sci.spw25.cube.regcal.I",
    ]
    assert (context.targets.listed[-1].start, context.targets.listed[-1].channels) == ("1km/s", 3)


@pytest.mark.parametrize(
    ("overwrite", "names"),
    [
        ([False, False, False], ["pbcor", "pbcor.v2", "pbcor.v3"]),
        ([True, True], ["pbcor"]),
        ([True, False], ["pbcor", "pbcor.v2"]),
        ([False, True], ["pbcor"]),
    ],
)
def test_second_image_of_a_name_replaces_or_joins_the_first(
    context: Context, monkeypatch: pytest.MonkeyPatch, overwrite: list[bool], names: list[str]
):
    monkeypatch.setattr(context, "casa", lambda *_, **__: None)
    monkeypatch.setattr(target_imaging, "_label", lambda *_: None)
    monkeypatch.setattr(target_imaging, "_measure", lambda *_: (1.0, 0.1, 0.1))
    monkeypatch.setattr(target_imaging, "_figures", lambda *_: [])
    for each in overwrite:
        edit(context)
        hif_makeimages(context, overwrite_on_export=each)
    stem = f"{_MOUS}.M100_sci.spw25.cube.regcal.I"
    assert [path.name for path in context.images if ".pbcor" in path.name] == [f"{stem}.{each}.fits" for each in names]


def test_images_are_made_of_the_data_that_are_asked_for(context: Context):
    for datatype in ("", "regcal", "selfcal", "best"):
        edit(context, datatype=datatype)
    # Of a target that was not self-calibrated nothing is listed, and nothing fails.
    assert [target.datatype for target in context.targets.listed] == ["regcal"] * 3
    context.targets.listed.clear()
    context.targets.self_calibrated.add("M100")
    for datatype in ("", "regcal", "selfcal", "best"):
        hif_makeimlist(context, specmode="cont", datatype=datatype)
    assert [(target.field, target.datatype) for target in context.targets.listed] == [
        ("M100", "selfcal"), ("a, b", "regcal"), ("M100", "regcal"), ("a, b", "regcal"), ("M100", "selfcal"),
        ("M100", "selfcal"), ("a, b", "regcal"),
    ]  # fmt: skip
    with pytest.raises(ValueError, match="must be one of regcal, selfcal or best"):
        edit(context, datatype="raw")


@pytest.mark.parametrize("name", ["a, b", "../../etc/x", "a b"])
def test_names_of_files_stay_names_of_files(name: str):
    stem = image_name(_MOUS, name, (25,), "cube", "regcal")
    assert "/" not in stem
    assert " " not in stem
    assert "," not in stem


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"specmode": "repBW"}, "must be one of"),
        ({"field": ""}, "name one field"),
        ({"spw": ""}, "for a cube one spw"),
        ({"restfreq": 230.5}, "needs a unit"),
        ({"start": "1.5"}, "needs a unit"),
        ({"imaging_mode": ""}, "imaging_mode='VLASS-QL'"),
        ({"imaging_mode": "VLA"}, "imaging_mode='VLA'"),
        ({"width": "1km/s", "nbin": 2}, "mutually exclusive"),
    ],
    ids=str,
)
def test_image_that_cannot_be_made_is_refused(context: Context, parameters: dict[str, object], sentence: str):
    with pytest.raises(ValueError, match=sentence):
        edit(context, **parameters)


def test_channels_may_be_numbered(context: Context):
    edit(context, start=2, width=1, nchan=5, cell="0.5arcsec", imsize=100)
    edit(context, nbin=4)
    target, binned = context.targets.listed
    assert (target.start, target.width) == (2, 1)
    assert binned.width == 4
    assert (target.geometry.cell, target.geometry.pixels) == (0.5, 100)


def test_an_empty_list_makes_no_images_and_does_not_fail(context: Context):
    assert hif_makeimages(context).notes == ("No images are listed: none is made.",)


def test_order_of_stages_is_said(context: Context):
    context.targets.observations.clear()
    with pytest.raises(StageOrderError, match="names no hif_mstransform"):
        hif_uvcontsub(context)


def test_export_of_a_calibration_that_was_not_made_is_refused(context: Context):
    with pytest.raises(ValueError, match="imaging_products_only=True"):
        hifa_exportdata(context)


def test_newer_name_of_the_flag_template_wins(context: Context):
    newer, older = Path("a_targets.flagtargetstemplate.txt"), Path("a.flagtargetstemplate.txt")
    assert flag_template("a_targets.ms") == newer
    older.touch()
    assert flag_template("a_targets.ms") == older
    newer.touch()
    assert flag_template("a_targets.ms") == newer


def test_geometry_samples_the_beam_out_to_the_primary_beams_edge(targets: Targets):
    geometry = targets.geometry()
    assert geometry.beam == pytest.approx(0.887, abs=1e-3)
    assert geometry.primary_beam == pytest.approx(25.05, abs=0.01)
    assert (geometry.cell, geometry.pixels) == (0.17, 240)
    targets.beam = 2.0
    assert targets.geometry().cell == 0.4


@pytest.mark.parametrize(("pixels", "easy"), [(1, 32), (33, 36), (216, 216), (217, 240), (1025, 1080)])
def test_easy_size(pixels: int, easy: int):
    assert easy_size(pixels) == easy


def test_sizes_are_in_gigabytes():
    sizes = product_sizes(Geometry(1000, 0.1, 0.5, 25.0), [99, 199], fields=2)
    assert sizes == ProductSizes(pytest.approx(199 * 4e-3), pytest.approx(2 * 2 * 4e-3 * (298 + 3)))


def predict(pixels_per_beam: float, level: float) -> ProductSizes:
    large = {(5.0, 0.2): 100.0, (5.0, 0.7): 40.0, (3.25, 0.7): 17.0}[pixels_per_beam, level]
    return ProductSizes(large, 4 * large)


@pytest.mark.parametrize(
    ("goal", "limit", "total", "given_up", "within"),
    [
        (100, 120, 1000, (5.0, 0.2), True),
        (-1, -1, -1, (5.0, 0.2), True),
        (50, 120, 1000, (5.0, 0.7), True),
        (100, 120, 200, (5.0, 0.7), True),
        (20, 120, 1000, (3.25, 0.7), True),
        (10, 17, 1000, (3.25, 0.7), False),
    ],
)
def test_no_more_is_given_up_than_needed(
    goal: float, limit: float, total: float, given_up: tuple[float, float], within: bool
):
    done = mitigate(predict, max_cube_size=goal, max_cube_limit=limit, max_product_size=total)
    assert ((done.pixels_per_beam, done.level), done.within_goal) == (given_up, within)
    assert done.before.largest_cube == 100.0


@pytest.mark.parametrize(
    ("limit", "total", "sentence"), [(16.9, 1000, "maxcubelimit is 16.9"), (120, 67.9, "maxproductsize is 67.9")]
)
def test_too_large_is_said_with_the_numbers(limit: float, total: float, sentence: str):
    with pytest.raises(TooLargeError, match=sentence):
        mitigate(predict, max_cube_size=1, max_cube_limit=limit, max_product_size=total)


@pytest.mark.parametrize(
    ("value", "arcseconds"),
    [("", 0.0), ("None", 0.0), (0, 0.0), (0.5, 0.5), ("0.5arcsec", 0.5), ("30mas", 0.03), ("1.5 arcsec", 1.5)],
    ids=str,
)
def test_angular_resolution(value: object, arcseconds: float):
    assert angular_resolution(value) == pytest.approx(arcseconds)


@pytest.mark.parametrize("value", ["sharp", "0.5 metres", "-1arcsec", "nan"])
def test_no_angle(value: str):
    with pytest.raises(ValueError, match="must be an angle"):
        angular_resolution(value)


_BEAMS = {0.0: 0.8, 0.5: 0.9, 1.0: 1.0, 2.0: 1.1}


@pytest.mark.parametrize(
    ("desired", "robust", "taper", "beam"),
    [
        (0.0, 0.5, "", 0.9),
        (1.0, 1.0, "", 1.0),
        (0.3, 0.0, "", 0.8),
        (1.2, 2.0, "", 1.1),
        (2.2, 2.0, "1.9053arcsec", 2.2),
    ],
)
def test_weighting_comes_near_to_what_is_desired(desired: float, robust: float, taper: str, beam: float):
    assert choose_weighting(_BEAMS, desired) == (robust, taper, beam)
