"""A start of minutes is not silent."""

from __future__ import annotations

import time

import pytest

from lrs2m_builder.engines import vllm


def test_while_the_engine_starts_the_time_is_said_and_in_the_end_how_long_it_took(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(vllm, "CLOCK_S", 0.01)
    with vllm._clock("vllm on toy"):
        while "starting for" not in (said := capsys.readouterr().err):
            time.sleep(0.01)
    assert "vllm on toy: starting for 0s" in said
    assert "vllm on toy: started in" in capsys.readouterr().err


def test_a_start_that_fails_is_not_said_to_be_done(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="no"), vllm._clock("vllm on toy"):
        raise ValueError("no")
    assert "started in" not in capsys.readouterr().err
