from __future__ import annotations

from typing import Any

import pytest

from tests.api.manifests import compiled, errors, logger, push_domain, route
from tubepost_api.config_logger import LoggerConfig


def config_of(**spec: Any) -> LoggerConfig:
    config = compiled(push_domain(loggers=["log"]), route(), logger(**spec)).config
    assert config is not None
    return config.loggers[0]


def test_defaults() -> None:
    config = config_of()
    assert (config.name, config.file, config.heartbeat) == ("log", None, 60.0)
    assert config.log_delivery
    assert config.log_permfail
    assert config.log_tempfail


def test_a_file_has_its_mode_as_a_number_and_its_size_in_bytes() -> None:
    file = {"path": "/var/log/tubepost/apn.log", "mode": "0600", "maxSize": "1Ki", "maxFiles": 2}
    config = config_of(sink={"type": "File", "file": file}, heartbeat="0s")
    assert config.file is not None
    assert (config.file.mode, config.file.max_size, config.file.max_files) == (0o600, 1024, 2)
    assert config.heartbeat == 0.0


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        ({"sink": {"type": "File"}}, "type: File"),
        ({"sink": {"type": "Stdout", "file": {"path": "/a"}}}, "type: File"),
        ({"sink": {"type": "File", "file": {"path": "relative"}}}, "absolute"),
        ({"sink": {"type": "File", "file": {"path": "/a/../b"}}}, ".."),
        ({"sink": {"type": "File", "file": {"path": "/a", "mode": "999"}}}, "octal"),
        ({"formats": {"delivery": "%Q"}}, "format"),
        ({"formats": {"delivery": "one\nline"}}, "format"),
    ],
)
def test_faults(spec: dict[str, Any], word: str) -> None:
    found = errors(compiled(push_domain(loggers=["log"]), route(), logger(**spec)))
    assert found
    assert word in str(found[0])
