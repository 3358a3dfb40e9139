from __future__ import annotations

from tubepost_operator.contents import Contents
from tubepost_operator.observed import ConfigMap


def test_contents_are_those_of_the_present_version() -> None:
    contents: Contents[ConfigMap] = Contents()
    assert contents.put("default", "hooks", "1")
    assert not contents.put("default", "hooks", "1")
    assert contents.get("default", "hooks") is None
    first = ConfigMap("hooks", "1", {})
    contents.keep("default", first)
    assert contents.get("default", "hooks") is first
    assert contents.put("default", "hooks", "2")
    assert contents.get("default", "hooks") is None
    assert contents.version("default", "hooks") == "2"


def test_what_is_gone_is_forgotten() -> None:
    contents: Contents[ConfigMap] = Contents()
    contents.put("default", "hooks", "1")
    contents.keep("default", ConfigMap("hooks", "1", {}))
    contents.remove("default", "hooks")
    contents.remove("default", "hooks")
    assert contents.version("default", "hooks") is None
    contents.put("default", "hooks", "1")
    assert contents.get("default", "hooks") is None
    contents.keep("other", ConfigMap("hooks", "1", {}))
    contents.put("other", "hooks", "1")
    assert contents.get("other", "hooks") is None, "it was read when nobody knew of it"


def test_what_is_to_be_read_depends_on_whether_everything_is_known() -> None:
    contents: Contents[ConfigMap] = Contents()
    for name in ("b", "a"):
        contents.put("default", name, "1")
    kept = ConfigMap("a", "1", {})
    contents.keep("default", kept)
    assert contents.known("default", {"c", "b", "a"}, complete=True) == ({"a": kept}, ("b",))
    assert contents.known("default", {"c", "b", "a"}, complete=False) == ({"a": kept}, ("b", "c"))
    assert contents.known("default", set(), complete=False) == ({}, ())
