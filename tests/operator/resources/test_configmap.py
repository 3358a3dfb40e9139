from __future__ import annotations

from tests.operator.resources.sources import source
from tubepost_api.config import DispatcherConfig
from tubepost_operator.names import Names
from tubepost_operator.resources.configmap import LIMIT, config_map, size


def test_it_holds_what_a_dispatcher_reads() -> None:
    manifest = config_map(source())
    assert manifest["metadata"]["name"] == source().config_map
    text = manifest["data"][Names.CONFIG_KEY]
    assert DispatcherConfig.model_validate_json(text) == source().config
    assert manifest["metadata"]["annotations"][Names.CONTENT_ANNOTATION] == source().config.digest()


def test_its_size_is_that_of_the_data() -> None:
    ((key, text),) = config_map(source())["data"].items()
    assert size(source()) == len(key) + len(text.encode()) < LIMIT
