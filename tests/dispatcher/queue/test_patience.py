from __future__ import annotations

from tests.dispatcher.delivery.support import domain
from tubepost_api.config import DeliveryConfig
from tubepost_dispatcher.delivery.schedule import Schedule
from tubepost_dispatcher.queue.patience import Patience


def test_each_domain_has_its_schedule_made_once() -> None:
    patience = Patience()
    first = domain(options=DeliveryConfig(retry_interval=5.0, max_retry_interval=6.0, max_retries=3))
    schedule, policy = patience.of(first)
    assert schedule == Schedule(5.0, 6.0, 3, DeliveryConfig().message_expiration)
    assert policy == schedule.policy()
    assert patience.of(first)[1] is policy
    assert patience.of(domain())[0] == Schedule()
    patience.clear()
    assert patience.of(first)[1] is not policy
