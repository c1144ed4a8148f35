"""The DAG's step: a line for each answer, and one sentence of all that is wrong."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

import srdp.check.services as module
from srdp.check.concurrently import Finding
from srdp.operators.check_settings import CheckSettingsOperator
from srdp.operators.retrying import retries

RIGHT = Finding("ledger", is_right=True, sentence="it answers.", seconds=0.1)
WRONG = Finding("mail", is_right=False, sentence="wrong login.", seconds=0.2)
SILENT = Finding("ngas", is_right=False, sentence="no answer within 15 seconds.", seconds=15.0, may_heal=True)


@pytest.mark.parametrize(
    ("found", "error", "said"),
    [
        ((RIGHT,), None, ""),
        ((RIGHT, SILENT), AirflowException, "ngas: no answer within 15 seconds."),
        (
            (SILENT, WRONG, RIGHT),
            AirflowFailException,
            "ngas: no answer within 15 seconds. mail: wrong login.",
        ),
    ],
)
def test_all_problems_are_reported_and_healable_ones_retried(
    found: tuple[Finding, ...], error: type[Exception] | None, said: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def check_everything(*, with_pool: bool, **_report: object) -> Iterator[Finding]:
        assert with_pool is False
        yield from found

    monkeypatch.setattr(module, "check_everything", check_everything)
    step = CheckSettingsOperator(task_id="check_settings", **retries("check"))
    if error is None:
        step.execute({})
    else:
        with pytest.raises(error) as raised:
            step.execute({})
        assert isinstance(raised.value, error)
        assert isinstance(raised.value, AirflowFailException) is (error is AirflowFailException)
        assert str(raised.value).startswith(said)
    log = capsys.readouterr().out
    assert [str(finding) in log for finding in found] == [True] * len(found)
