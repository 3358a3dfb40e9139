from __future__ import annotations

from tests.dispatcher.delivery.support import DELIVERED, FakePool, Told, domain, domains, notification
from tests.dispatcher.delivery.support import POLICY as PATIENCE
from tests.dispatcher.policy.support import settings, until
from tubepost_dispatcher.delivery.deliverer import Deliverer
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.worker.worker_policy import WorkerPolicy


def badge(number: int) -> str:
    return f"def apn_request_eval(req, msg): req.json = {{'aps': {{'badge': {number}}}}}"


async def test_a_policy_comes_changes_and_goes() -> None:
    pool, told, metrics = FakePool(), Told(), Metrics()
    only = domain(pool)
    deliverer = Deliverer(domains(only), (told.listener,), metrics)
    policy = WorkerPolicy(deliverer, metrics, None)
    assert policy.status() is None

    async def sent() -> bytes:
        delivery, _ = deliverer.prepare(notification(), only, told, PATIENCE, 0.0, 1e9)
        deliverer.start(delivery)
        await until(lambda: bool(pool.requests))
        payload: bytes = pool.requests[0].payload
        pool.answer(DELIVERED)
        return payload

    try:
        assert await sent() == b'{"aps":{}}'
        policy.update(settings(badge(1)))
        assert await sent() == b'{"aps":{"badge":1}}'
        await until(lambda: metrics.registry.get_sample_value("tubepost_policy_processes") == 2)
        assert policy.status() == {"configMap": "hooks", "processes": 2, "waiting": 0}
        policy.update(settings(badge(2)))
        assert await sent() == b'{"aps":{"badge":2}}'
        policy.update(None)
        assert await sent() == b'{"aps":{}}'
        assert policy.status() is None
        assert metrics.registry.get_sample_value("tubepost_policy_processes") == 0
    finally:
        await policy.close(1.0)
    assert len(told.owner_ends) == 4
