from __future__ import annotations

from tubepost_credentials.errors import CredentialError, Fault


def test_the_text_is_message_and_remedy() -> None:
    error = CredentialError("the key is empty", "put a key there")
    assert str(error) == "the key is empty. Remedy: put a key there"
    assert error.fault is Fault.MALFORMED


def test_what_is_wrong_with_the_reference_and_what_can_be_tried_all_the_same() -> None:
    assert {fault for fault in Fault if fault.of_reference} == {Fault.SECRET_NOT_FOUND, Fault.KEY_MISSING}
    assert {fault for fault in Fault if fault.serves} == {
        Fault.EXPIRED,
        Fault.NOT_YET_VALID,
        Fault.WRONG_ENVIRONMENT,
    }
