from __future__ import annotations

import orjson

from tests.dispatcher.delivery.support import DEAD, DELIVERED, Bench
from tubepost_dispatcher.policy.facts import message_facts, outcome_facts, request_facts
from tubepost_policy import Message, Outcome, Request, Response


def test_the_objects_of_hooks_are_made_of_the_facts() -> None:
    bench = Bench()
    delivery = bench.deliver()
    delivery.notification.context = {"campaign": "a", "DLV_Msg_Length": "forged"}
    facts = orjson.loads(orjson.dumps(message_facts(delivery, DEAD)))
    message = Message(facts, Outcome(outcome_facts(DEAD)))
    assert message.context["campaign"] == "a"
    assert message.context["DLV_Response_Status"] == "8"
    assert message.context["DLV_Msg_Length"] == ""
    assert (message.route, message.attempt, message.rerouted) == ("route0", 1, False)
    assert message.outcome is not None
    assert (message.outcome.kind, message.outcome.legacy_status) == ("permanent", 8)
    request = Request(orjson.loads(orjson.dumps(request_facts(delivery))))
    assert (request.topic, request.push_type, request.priority) == ("com.example.app", "alert", 10)
    response = Response(orjson.loads(orjson.dumps(outcome_facts(DELIVERED))), message)
    assert (response.status, response.reason, response.legacy_status) == (200, "", 0)
