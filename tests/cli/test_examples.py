from __future__ import annotations

import pytest

from tubepost_cli.examples import example


def test_an_example_of_the_checkout_is_found() -> None:
    assert (example("seed") / "manifests.yaml").exists() or list(example("seed").glob("*.yaml"))
    assert example("seed-message.eml").is_file()


def test_one_that_does_not_exist_is_named() -> None:
    with pytest.raises(FileNotFoundError, match="example nothing is not installed"):
        example("nothing")
