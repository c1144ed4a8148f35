"""What was asked for is found again among the images, by name."""

from __future__ import annotations

import pytest

from srdp.domain.imaging.asked_images import images_not_made
from srdp.domain.imaging.request import imaging_request

MADE = [
    "uid___A001_X1288_X3f.TW_Hya_sci.spw25_27.cont.I.tt0.pbcor.fits",
    "uid___A001_X1288_X3f.TW_Hya_sci.spw25_27.cont.I.pb.fits",
    "uid___A001_X1288_X3f.V_BP_Tau_sci.spw25_27.cont.I.tt0.pbcor.fits",
    "uid___A001_X1288_X3f.TW_Hya_sci.spw25.cube.I.pbcor.fits",
]


def asked(*, fields="TW_Hya,V*BP_Tau", continuum=True, cubes="TW_Hya,25,345.796,0,1,80"):
    return imaging_request(
        mous="uid://A001/X1288/X3f", fields=fields, continuum=continuum, cubes=cubes, asked_by="somebody"
    )


def test_everything_is_there():
    assert list(images_not_made(asked(), MADE)) == []


@pytest.mark.parametrize(("left_out", "words"), [
    (MADE[0], "no continuum image of 'TW_Hya' among the images"),
    (MADE[2], "no continuum image of 'V*BP_Tau' among the images"),
    (MADE[3], "no cube of 'TW_Hya' in spectral window 25 among the images"),
])  # fmt: skip
def test_each_image_that_is_not_there_is_named(left_out, words):
    (sentence,) = images_not_made(asked(), [name for name in MADE if name != left_out])
    assert words in sentence


@pytest.mark.parametrize(
    "other",
    ["TW_Hya,2,345.796,0,1,80", "TW_Hya,5,345.796,0,1,80", "TW_Hya,250,345.796,0,1,80", "Hya,25,345.796,0,1,80"],
)
def test_another_cube_is_not_taken_for_it(other):
    names = [name.replace("TW_Hya", "TW-Hya2") for name in MADE] if other.startswith("Hya") else MADE
    request = asked(fields=other.partition(",")[0], continuum=False, cubes=other)
    assert len(list(images_not_made(request, names))) == 1


def test_a_field_is_not_found_in_the_name_of_another():
    names = [name.replace("TW_Hya", "CO_M83") for name in MADE]
    (sentence,) = images_not_made(asked(fields="M83", cubes=None), names)
    assert "'M83'" in sentence
    assert list(images_not_made(asked(fields="CO_M83", cubes=None), names)) == []


def test_what_was_not_asked_for_need_not_be_there():
    assert list(images_not_made(asked(continuum=False, fields="TW_Hya"), MADE[3:])) == []


TWO_CUBES = "TW_Hya,25,345.796,0,1,80\nTW_Hya,25,345.9,90,1,20"
SECOND = MADE[3].replace(".pbcor.", ".pbcor.v2.")


def test_two_cubes_of_one_window_differ_by_version():
    assert list(images_not_made(asked(cubes=TWO_CUBES), [*MADE, SECOND])) == []
    # Nor does an image that was made from self-calibrated data count for another.
    selfcal = MADE[3].replace(".cube.", ".cube.selfcal.")
    [sentence] = images_not_made(asked(cubes=TWO_CUBES), [*MADE, selfcal])
    assert "Only 1 of 2 cubes of 'TW_Hya' in spectral window 25" in sentence


def test_images_of_the_pipeline_of_2026_are_found():
    # As the real pipeline called them: the type of data behind the mode.
    names = [name.replace(".I.", ".regcal.I.") for name in [*MADE, SECOND]]
    assert list(images_not_made(asked(cubes=TWO_CUBES), names)) == []


@pytest.mark.parametrize(
    ("field", "written"),
    [
        ("TW Hya", "_TW_Hya_"),
        ("W3(OH)", "_W3_OH__"),
        ("G345.49+1.47", "_G345.49+1.47_"),
        ("30", "_30_"),
        ("M_82", "M_82"),
    ],
)
def test_images_are_found_by_pipeline_names(field, written):
    request = asked(fields=[field], cubes=[])
    assert list(images_not_made(request, [f"uid___A001_X1_X2.{written}_sci.spw25_27.cont.regcal.I.pbcor.fits"])) == []
    assert list(images_not_made(request, [f"uid___A001_X1_X2.x{written}_sci.spw25_27.cont.regcal.I.pbcor.fits"]))
