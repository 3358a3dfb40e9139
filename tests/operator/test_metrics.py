from __future__ import annotations

import aiohttp

from tubepost_operator.metrics import CATALOG, OperatorMetrics
from tubepost_runtime.endpoints import ProcessEndpoints


async def test_probes_and_metrics() -> None:
    metrics = OperatorMetrics()
    metrics.reconciles.labels("PushDomain", "written").inc()
    metrics.watch_age.compute(lambda: [(("secrets",), 3.0)])
    live = (True, "ok")
    server = ProcessEndpoints(
        "127.0.0.1", 0, lambda: metrics.registry, lambda: live, lambda: (False, "not yet")
    )
    await server.start()
    base = f"http://127.0.0.1:{server.port}"
    try:
        async with aiohttp.ClientSession() as session:
            async with session.get(base + "/livez") as response:
                assert (response.status, await response.text()) == (200, "ok\n")
            async with session.get(base + "/readyz") as response:
                assert (response.status, await response.text()) == (503, "not yet\n")
            live = (False, "no sign of life from watches: secrets")
            async with session.get(base + "/livez") as response:
                assert response.status == 503
            async with session.get(base + "/metrics") as response:
                text = await response.text()
    finally:
        await server.stop()
    assert 'tubepost_operator_reconciles_total{kind="PushDomain",result="written"} 1.0' in text
    assert 'tubepost_operator_watch_age_seconds{watch="secrets"} 3.0' in text


def test_the_catalogue_is_complete() -> None:
    names = {spec.name for spec in CATALOG}
    assert all(name.startswith("tubepost_operator_") for name in names)
    assert all(spec.help.endswith(".") for spec in CATALOG)
