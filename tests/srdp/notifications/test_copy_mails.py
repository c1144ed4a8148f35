from __future__ import annotations

import pytest
from tests.srdp.notifications.test_removal_mails import HOSTILE, Tags, run

from srdp.domain.ngas.copies import DamagedCopy
from srdp.notifications.copy_mails import copy_damaged

COPY = DamagedCopy("ngas:7777", "vla-1.calibration.tar", 1, "disk-2", "It is corrupt.")


@pytest.mark.parametrize(
    ("found_by", "is_enough", "said"),
    [
        ("removal", False, "directories are kept until each copy in NGAS is good"),
        ("removal", True, "SRDP_ONE_GOOD_COPY_IS_ENOUGH"),
        ("ingest", False, "as long as a good copy of each file is left"),
        ("fetch", False, "if a good copy was left to be fetched"),
    ],
)
def test_damaged_copy_mail_names_file_disk_and_effect(settings, found_by, is_enough, said):
    settings = settings.model_copy(update={"one_good_copy_is_enough": is_enough})
    mail = copy_damaged(settings, run(), [COPY], found_by=found_by, key="copy_damaged_x")
    assert (mail.key, mail.recipients) == ("copy_damaged_x", settings.operations_managers)
    assert mail.subject == (
        "[SRDP] DAMAGED COPY IN NGAS: vla-1.calibration.tar on disk disk-2 (vla-20261122-182453-4f71)"
    )
    for text in (mail.text, mail.html):
        for reported in ("vla-1.calibration.tar", "version 1", "disk-2", "ngas:7777", "It is corrupt.", said, "CLONE"):
            assert reported in " ".join(text.split())


def test_hostile_words_stay_words(settings):
    copies = [DamagedCopy(HOSTILE, HOSTILE, 1, HOSTILE, HOSTILE), COPY]
    mail = copy_damaged(settings, run(), copies, found_by="removal", key="k")
    assert mail.subject == "[SRDP] DAMAGED COPY IN NGAS: 2 copies (vla-20261122-182453-4f71)"
    assert "script" not in Tags(mail.html).found
    assert "\n" not in copy_damaged(settings, run(), copies[:1], found_by="removal", key="k").subject
