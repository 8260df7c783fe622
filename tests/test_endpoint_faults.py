"""A sample of the campaign of `make endpoint-campaign`: real builds through endpoints with faults."""

from __future__ import annotations

import subprocess
import sys

from tests.toy import ROOT


def test_builds_through_faulty_endpoints_end_as_they_should_and_go_on() -> None:
    command = [sys.executable, "-m", "tests.endpoint_campaign", "--sample"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    assert result.returncode == 0, result.stdout + result.stderr
    assert " builds: 0 not as they should be" in result.stdout
