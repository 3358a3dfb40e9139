from __future__ import annotations

from tests.operator.resources.sources import source
from tubepost_operator.resources.serviceaccount import service_account


def test_no_token_is_mounted() -> None:
    assert service_account(source())["automountServiceAccountToken"] is False
