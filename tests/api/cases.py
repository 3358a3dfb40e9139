"""Objects that are valid or not by themselves: what the API server says of each, `compile_manifests` must say.

An entry: name, document, path of the field to blame (None: valid). Server-only and Python-only cases do not
belong here.
"""

from __future__ import annotations

from typing import Any

from tests.api.manifests import document, logger, push_domain, route

Case = tuple[str, dict[str, Any], str | None]


def _domains(*domains: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return push_domain(domains=list(domains), **spec)


def _listener(**listener: Any) -> dict[str, Any]:
    return push_domain(listener=listener)


def _delivery(**delivery: Any) -> dict[str, Any]:
    return push_domain(delivery=delivery)


def _bounces(**bounces: Any) -> dict[str, Any]:
    return push_domain(bounces=bounces)


def _policy(**policy: Any) -> dict[str, Any]:
    return push_domain(policy={"configMapName": "hooks", **policy})


def _rest(**rest: Any) -> dict[str, Any]:
    return push_domain(rest={"tokens": {"secretName": "clients"}, **rest})


def _webhook(**webhook: Any) -> dict[str, Any]:
    return logger(sink={"type": "Webhook", "webhook": {"url": "https://events.example/in", **webhook}})


_SERVERS: dict[str, Any] = {"servers": ["nats://nats.messaging"]}


def _stream(**jet_stream: Any) -> dict[str, Any]:
    return _queued({"jetStream": _SERVERS | jet_stream})


def _queued(queue: dict[str, Any]) -> dict[str, Any]:
    return push_domain(acceptance={"mode": "Queued"}, queue=queue)


def _claim(**claim: Any) -> dict[str, Any]:
    return _queued({"disk": {"claim": claim}})


TLS = {"mode": "Required", "secretName": "tls"}
TOKEN = {"secretName": "token"}

CASES: list[Case] = [
    ("smallest domain", push_domain(), None),
    ("smallest route", route(), None),
    ("smallest logger", logger(), None),
    # PushDomain: names and domains
    ("name begins with a digit", push_domain(name="1st"), ""),
    ("name of 63", push_domain(name="a" * 63), None),
    ("name of 64", push_domain(name="a" * 64), ""),
    ("no domains", _domains(), "spec.domains"),
    ("domain with neither", _domains({}), "spec.domains[0]"),
    ("domain with both", _domains({"name": "a.example", "pattern": "a"}), "spec.domains[0]"),
    ("underscore", _domains({"name": "apn_example.com"}), None),
    ("upper case", _domains({"name": "Push.example.com"}), "spec.domains[0].name"),
    ("dot at the end", _domains({"name": "push.example.com."}), "spec.domains[0].name"),
    ("label of 64", _domains({"name": "a" * 64 + ".example"}), "spec.domains[0].name"),
    ("domain twice", _domains({"name": "a.example"}, {"name": "a.example"}), "spec.domains[1].name"),
    ("pattern twice", _domains({"pattern": "a.*"}, {"pattern": "a.*"}), "spec.domains[1].pattern"),
    ("same text as name and pattern", _domains({"name": "a"}, {"pattern": "a"}), None),
    ("pattern", _domains({"pattern": r"[a-z]+\.example\.com"}), None),
    ("lookahead", _domains({"pattern": "(?=a)b"}), "spec.domains[0].pattern"),
    ("backreference", _domains({"pattern": r"(a)\1"}), "spec.domains[0].pattern"),
    ("pattern unclosed", _domains({"pattern": "(a"}), "spec.domains[0].pattern"),
    ("empty pattern", _domains({"pattern": ""}), "spec.domains[0].pattern"),
    # PushDomain: the port
    ("port of its own choice", _listener(port=1024), None),
    ("port that needs rights", _listener(port=25), "spec.listener.port"),
    ("port of the metrics", _listener(port=9090), "spec.listener.port"),
    ("port of the status", _listener(port=9091), "spec.listener.port"),
    # PushDomain: routes and loggers
    ("routes empty", push_domain(routes=[]), "spec.routes"),
    ("route twice", push_domain(routes=["a", "a"]), "spec.routes"),
    ("nine routes", push_domain(routes=list("abcdefghi")), "spec.routes"),
    ("route name", push_domain(routes=["A"]), "spec.routes[0]"),
    (
        "no routes anywhere",
        document("PushDomain", "alerts", {"domains": [{"name": "a.example"}]}),
        "spec.routes",
    ),
    (
        "routes in every domain",
        document("PushDomain", "alerts", {"domains": [{"name": "a.example", "routes": ["apns"]}]}),
        None,
    ),
    (
        "routes in one of two",
        document(
            "PushDomain",
            "alerts",
            {"domains": [{"name": "a.example", "routes": ["apns"]}, {"name": "b.example"}]},
        ),
        "spec.routes",
    ),
    ("logger twice", push_domain(loggers=["a", "a"]), "spec.loggers"),
    # Durations
    ("duration of parts", _delivery(idleTimeout="1h30m0.5s"), None),
    ("duration without unit", _delivery(responseTimeout="5"), "spec.delivery.responseTimeout"),
    ("duration as number", _delivery(responseTimeout=5), "spec.delivery.responseTimeout"),
    ("duration zero", _delivery(responseTimeout="0s"), "spec.delivery.responseTimeout"),
    ("duration negative", _delivery(responseTimeout="-1s"), "spec.delivery.responseTimeout"),
    ("duration too long", _delivery(idleTimeout="99999999h"), "spec.delivery.idleTimeout"),
    ("expiry zero", _delivery(expiry="0s"), None),
    ("expiry bare zero", _delivery(expiry="0"), None),
    ("response not less than idle", _delivery(idleTimeout="5s"), "spec.delivery.idleTimeout"),
    ("response less than idle", _delivery(responseTimeout="4999ms", idleTimeout="5s"), None),
    (
        "override breaks the order with an inherited value",
        _domains({"name": "a.example", "delivery": {"responseTimeout": "2h"}}),
        "spec.domains[0].delivery",
    ),
    (
        "override mends both",
        _domains({"name": "a.example", "delivery": {"responseTimeout": "2h", "idleTimeout": "3h"}}),
        None,
    ),
    ("throttle", _delivery(throttle="100/60"), None),
    ("throttle of nothing", _delivery(throttle="100/0"), "spec.delivery.throttle"),
    ("throttle as number", _delivery(throttle=100), "spec.delivery.throttle"),
    ("mode", _delivery(mode="Suspended"), "spec.delivery.mode"),
    ("mode that refuses", _delivery(mode="Refuse"), None),
    ("connections negative", _delivery(maxOutboundConnections=-1), "spec.delivery.maxOutboundConnections"),
    ("deadline", push_domain(acceptance={"deadline": "10s"}), None),
    # The queue
    ("queued on an emptyDir", _queued({"disk": {}}), None),
    ("queued on claims", _claim(), None),
    ("queued without a queue", push_domain(acceptance={"mode": "Queued"}), "spec.queue"),
    ("queued without a place", _queued({}), "spec.queue.disk"),
    ("queue without a use", push_domain(queue={"disk": {}}), None),
    ("overflow", push_domain(acceptance={"overflow": "Queue"}, queue={"disk": {}}), None),
    ("overflow without a queue", push_domain(acceptance={"overflow": "Queue"}), "spec.queue"),
    (
        "overflow of queued",
        push_domain(acceptance={"mode": "Queued", "overflow": "Queue"}, queue={"disk": {}}),
        "spec.acceptance.overflow",
    ),
    ("acceptance in lower case", push_domain(acceptance={"mode": "queued"}), "spec.acceptance.mode"),
    ("most messages", _queued({"maxMessages": 1_000_000_000, "disk": {}}), None),
    ("most messages negative", _queued({"maxMessages": -1, "disk": {}}), "spec.queue.maxMessages"),
    ("sizes of a queue", _queued({"disk": {"maxSize": "2Ti", "reserve": 0}}), None),
    ("size of a queue", _queued({"disk": {"maxSize": "2T1"}}), "spec.queue.disk.maxSize"),
    ("reserve negative", _queued({"disk": {"reserve": -1}}), "spec.queue.disk.reserve"),
    (
        "claim in full",
        _claim(
            size="1Ti",
            storageClassName="fast.example",
            accessModes=["ReadWriteOncePod"],
            retention="Delete",
        ),
        None,
    ),
    ("claim without unit", _claim(size="10GB"), "spec.queue.disk.claim.size"),
    ("claim as number", _claim(size=10), "spec.queue.disk.claim.size"),
    ("claim of nothing", _claim(size="0Gi"), "spec.queue.disk.claim.size"),
    ("storage class", _claim(storageClassName="Fast"), "spec.queue.disk.claim.storageClassName"),
    ("no access mode", _claim(accessModes=[]), "spec.queue.disk.claim.accessModes"),
    ("access mode", _claim(accessModes=["ReadOnlyMany"]), "spec.queue.disk.claim.accessModes[0]"),
    (
        "access mode twice",
        _claim(accessModes=["ReadWriteOnce", "ReadWriteOnce"]),
        "spec.queue.disk.claim.accessModes",
    ),
    ("retention", _claim(retention="Recycle"), "spec.queue.disk.claim.retention"),
    ("claims that are left behind", _claim(whenScaled="Delete"), None),
    ("whenScaled", _claim(whenScaled="Recycle"), "spec.queue.disk.claim.whenScaled"),
    # A stream
    ("a stream", _stream(), None),
    (
        "a stream in full",
        _stream(
            servers=["tls://a.example", "tls://[::1]:4222", "tls://10.0.0.1:65535"],
            stream="PUSH-1",
            subjectPrefix="push.1",
            replicas=5,
            maxAge="720h",
            maxBytes="10Gi",
            placement={"cluster": "east", "tags": ["cloud:a", "ssd"]},
            nkey={"secretName": "nats"},
            tls={"ca": {"secretName": "ca"}, "certificate": {"secretName": "pair"}},
        ),
        None,
    ),
    ("a stream and a disk", _queued({"disk": {}, "jetStream": _SERVERS}), "spec.queue.jetStream"),
    ("no server", _stream(servers=[]), "spec.queue.jetStream.servers"),
    ("a server twice", _stream(servers=["nats://a", "nats://a"]), "spec.queue.jetStream.servers"),
    ("a server by name", _stream(servers=["a:4222"]), "spec.queue.jetStream.servers[0]"),
    ("a server's port", _stream(servers=["nats://a:65536"]), "spec.queue.jetStream.servers[0]"),
    ("a server's user", _stream(servers=["nats://u:p@a"]), "spec.queue.jetStream.servers[0]"),
    ("servers of both kinds", _stream(servers=["nats://a", "tls://b"]), "spec.queue.jetStream.servers"),
    ("tls in cleartext", _stream(tls={}), "spec.queue.jetStream.tls"),
    (
        "two ways to log in",
        _stream(nkey={"secretName": "a"}, credentials={"secretName": "a"}),
        "spec.queue.jetStream",
    ),
    ("a stream in lower case", _stream(stream="push"), "spec.queue.jetStream.stream"),
    ("a wildcard", _stream(subjectPrefix="push.*"), "spec.queue.jetStream.subjectPrefix"),
    ("no replicas", _stream(replicas=0), "spec.queue.jetStream.replicas"),
    ("six replicas", _stream(replicas=6), "spec.queue.jetStream.replicas"),
    ("an age of nothing", _stream(maxAge="0s"), "spec.queue.jetStream.maxAge"),
    ("the size of a stream", _stream(maxBytes="10GB"), "spec.queue.jetStream.maxBytes"),
    ("a tag", _stream(placement={"tags": ["a b"]}), "spec.queue.jetStream.placement.tags[0]"),
    # The schedule
    ("intervals", _delivery(retryInterval="5s", maxRetryInterval="5s"), None),
    ("intervals the wrong way round", _delivery(retryInterval="13h"), "spec.delivery.maxRetryInterval"),
    ("interval of nothing", _delivery(retryInterval="0s"), "spec.delivery.retryInterval"),
    ("interval without unit", _delivery(maxRetryInterval="5"), "spec.delivery.maxRetryInterval"),
    ("retries auto", _delivery(maxRetries="auto"), None),
    ("retries without limit", _delivery(maxRetries="none"), None),
    ("no retries", _delivery(maxRetries=0), None),
    ("retries as text", _delivery(maxRetries="3"), "spec.delivery.maxRetries"),
    ("retries as truth", _delivery(maxRetries=True), "spec.delivery.maxRetries"),
    ("retries negative", _delivery(maxRetries=-1), "spec.delivery.maxRetries"),
    ("retries without end", _delivery(maxRetries=1_000_001), "spec.delivery.maxRetries"),
    ("expiration of nothing", _delivery(messageExpiration="0s"), "spec.delivery.messageExpiration"),
    (
        "override breaks the intervals with an inherited value",
        _domains({"name": "a.example", "delivery": {"retryInterval": "13h"}}),
        "spec.domains[0].delivery",
    ),
    (
        "override mends the intervals",
        _domains({"name": "a.example", "delivery": {"retryInterval": "13h", "maxRetryInterval": "14h"}}),
        None,
    ),
    # Listener
    ("port 0", _listener(port=0), "spec.listener.port"),
    ("port in quotes", _listener(port="25"), "spec.listener.port"),
    ("port 65536", _listener(port=65_536), "spec.listener.port"),
    ("starttls", _listener(startTls=TLS), None),
    (
        "starttls without secret",
        _listener(startTls={"mode": "Optional"}),
        "spec.listener.startTls.secretName",
    ),
    ("secret without starttls", _listener(startTls={"secretName": "a"}), "spec.listener.startTls.secretName"),
    ("auth without tls", _listener(auth={"secretName": "users"}), "spec.listener.auth"),
    ("auth with tls", _listener(auth={"secretName": "users"}, startTls=TLS), None),
    ("auth in clear", _listener(auth={"secretName": "users", "requireTls": False}), None),
    ("auth without secret", _listener(auth={}), "spec.listener.auth.secretName"),
    ("networks", _listener(allowedNetworks=["10.0.0.0/8", "2001:db8::/32", "192.0.2.1"]), None),
    ("network of IPv6 that begins with zeros", _listener(allowedNetworks=["::/0", "::fffe:0:0/95"]), None),
    ("network", _listener(allowedNetworks=["example.com"]), "spec.listener.allowedNetworks[0]"),
    ("hostname", _listener(hostname="mail.example.com"), None),
    ("hostname with port", _listener(hostname="mail.example.com:25"), "spec.listener.hostname"),
    ("sizes", _listener(limits={"maxMessageSize": "64Ki", "maxHeaderSize": 1024}), None),
    ("size", _listener(limits={"maxMessageSize": "64KB"}), "spec.listener.limits.maxMessageSize"),
    ("size negative", _listener(limits={"maxMessageSize": -1}), "spec.listener.limits.maxMessageSize"),
    ("passthru without relay", _listener(mcmtReception="Passthru"), "spec.passthru"),
    (
        "passthru with relay",
        push_domain(listener={"mcmtReception": "Passthru"}, passthru={"host": "relay"}),
        None,
    ),
    ("reception in lower case", _listener(mcmtReception="allow"), "spec.listener.mcmtReception"),
    ("relay without host", push_domain(passthru={}), "spec.passthru.host"),
    ("relay by IPv6", push_domain(passthru={"host": "2001:db8::1", "port": 587, "tls": "StartTls"}), None),
    # Bounces
    ("no bounces", _bounces(enabled=False), None),
    (
        "bounces in full",
        _bounces(
            delayNotices=True,
            delayAfter="30m",
            direct="Mail",
            relay={"host": "relay", "port": 587, "tls": "StartTls", "authSecretName": "account"},
            **{"from": "push+reports@mail.example.com"},
        ),
        None,
    ),
    ("bounces without a host", _bounces(relay={}), "spec.bounces.relay.host"),
    ("late at once", _bounces(delayAfter="0s"), "spec.bounces.delayAfter"),
    ("bounces by post", _bounces(direct="Post"), "spec.bounces.direct"),
    ("from a name", _bounces(**{"from": "Push <push@example.com>"}), "spec.bounces.from"),
    ("from nobody", _bounces(**{"from": "push"}), "spec.bounces.from"),
    ("from in python", _bounces(from_="push@example.com"), "spec.bounces.from_"),
    (
        "bounces of a domain",
        _domains({"name": "a.example", "bounces": {"enabled": False, "from": "a@a.example"}}),
        None,
    ),
    (
        "relay of a domain",
        _domains({"name": "a.example", "bounces": {"relay": {"host": "relay"}}}),
        "spec.domains[0].bounces.relay",
    ),
    (
        "late of a domain",
        _domains({"name": "a.example", "bounces": {"delayAfter": "4"}}),
        "spec.domains[0].bounces.delayAfter",
    ),
    # Hooks, and context
    ("hooks", _policy(timeout="250ms", memory="64Mi", processes=2), None),
    ("hooks without a ConfigMap", push_domain(policy={}), "spec.policy.configMapName"),
    ("name of a ConfigMap", _policy(configMapName="a.b-c"), None),
    ("no name of a ConfigMap", _policy(configMapName="A"), "spec.policy.configMapName"),
    ("hooks without time", _policy(timeout="0s"), "spec.policy.timeout"),
    ("memory of hooks", _policy(memory="64MB"), "spec.policy.memory"),
    ("no process for hooks", _policy(processes=0), "spec.policy.processes"),
    ("many processes for hooks", _policy(processes=17), "spec.policy.processes"),
    ("context", push_domain(context={"addresses": "Ignore"}), None),
    ("context in lower case", push_domain(context={"addresses": "ignore"}), "spec.context.addresses"),
    # Requests
    ("rest", _rest(), None),
    ("rest in full", _rest(port=8443, tls={"secretName": "tls"}, maxBatch=1, maxBodySize="1Mi"), None),
    ("rest without tokens", push_domain(rest={}), "spec.rest.tokens"),
    ("rest without the tokens' Secret", _rest(tokens={}), "spec.rest.tokens.secretName"),
    ("rest on a port that needs rights", _rest(port=443), "spec.rest.port"),
    ("rest on the port of the metrics", _rest(port=9090), "spec.rest.port"),
    ("rest on the port of mail", _rest(port=2525), "spec.rest"),
    (
        "rest on the port of the Service",
        push_domain(rest={"port": 2526, "tokens": {"secretName": "a"}}, service={"port": 2526}),
        "spec.rest",
    ),
    ("batch of nothing", _rest(maxBatch=0), "spec.rest.maxBatch"),
    (
        "version of TLS of rest",
        _rest(tls={"secretName": "tls", "minVersion": "1.1"}),
        "spec.rest.tls.minVersion",
    ),
    ("replicas", push_domain(replicas=-1), "spec.replicas"),
    ("replicas as text", push_domain(replicas="1"), "spec.replicas"),
    ("log level", push_domain(logLevel="debug"), "spec.logLevel"),
    # Pods and Service
    ("image", push_domain(podTemplate={"image": "registry.example/tubepost:1.2@sha256:00"}), None),
    ("image with a space", push_domain(podTemplate={"image": "a b"}), "spec.podTemplate.image"),
    ("pod labels", push_domain(podTemplate={"labels": {"team.example.com/name": "push"}}), None),
    (
        "pod label of the operator",
        push_domain(podTemplate={"labels": {"tubepost.io/push-domain": "other"}}),
        "spec.podTemplate.labels",
    ),
    (
        "pod label that selectors rely on",
        push_domain(podTemplate={"labels": {"app.kubernetes.io/instance": "other"}}),
        "spec.podTemplate.labels",
    ),
    (
        "pod annotation of the operator",
        push_domain(podTemplate={"annotations": {"tubepost.io/roll": "1"}}),
        "spec.podTemplate.annotations",
    ),
    (
        "service annotation of the operator",
        push_domain(service={"annotations": {"tubepost.io/applied": "1"}}),
        "spec.service.annotations",
    ),
    (
        "no limits, and authorities",
        push_domain(
            podTemplate={
                "resources": {
                    "requests": {"cpu": "500m", "ephemeral-storage": "1Gi"},
                    "limits": {"cpu": "none", "memory": "none", "ephemeral-storage": "2Gi"},
                },
                "caBundle": {"configMapName": "corp"},
            }
        ),
        None,
    ),
    (
        "a request of none",
        push_domain(podTemplate={"resources": {"requests": {"cpu": "none"}}}),
        "spec.podTemplate.resources.requests.cpu",
    ),
    ("service", push_domain(service={"type": "LoadBalancer", "port": 587}), None),
    (
        "every field of the service",
        push_domain(
            service={
                "type": "LoadBalancer",
                "nodePort": 30025,
                "externalTrafficPolicy": "Local",
                "internalTrafficPolicy": "Cluster",
                "loadBalancerClass": "service.k8s.aws/nlb",
                "loadBalancerSourceRanges": ["192.0.2.0/24"],
                "ipFamilyPolicy": "PreferDualStack",
                "ipFamilies": ["IPv6", "IPv4"],
                "sessionAffinity": "ClientIP",
                "sessionAffinityTimeoutSeconds": 600,
            }
        ),
        None,
    ),
    ("service node port", push_domain(service={"nodePort": 30025}), "spec.service.nodePort"),
    (
        "service traffic policy",
        push_domain(service={"externalTrafficPolicy": "Local"}),
        "spec.service.externalTrafficPolicy",
    ),
    (
        "service class",
        push_domain(service={"type": "NodePort", "loadBalancerClass": "a/b"}),
        "spec.service.loadBalancerClass",
    ),
    (
        "service source ranges",
        push_domain(service={"loadBalancerSourceRanges": ["192.0.2.0/24"]}),
        "spec.service.loadBalancerSourceRanges",
    ),
    ("service families", push_domain(service={"ipFamilies": ["IPv4", "IPv6"]}), "spec.service.ipFamilies"),
    (
        "service affinity",
        push_domain(service={"sessionAffinityTimeoutSeconds": 5}),
        "spec.service.sessionAffinityTimeoutSeconds",
    ),
    ("service type", push_domain(service={"type": "ExternalName"}), "spec.service.type"),
    ("root", push_domain(podTemplate={"security": {"runAsUser": 0}}), "spec.podTemplate.security.runAsUser"),
    (
        "resources",
        push_domain(podTemplate={"resources": {"requests": {"cpu": "100m"}, "limits": {"memory": "1Gi"}}}),
        None,
    ),
    (
        "quantity",
        push_domain(podTemplate={"resources": {"limits": {"memory": "1 GB"}}}),
        "spec.podTemplate.resources.limits.memory",
    ),
    (
        "affinity",
        push_domain(podTemplate={"affinity": {"nodeAffinity": {}}, "tolerations": [{"operator": "Exists"}]}),
        None,
    ),
    # ApnRoute
    ("route with a dot", route(name="a.b"), ""),
    ("neither environment nor endpoint", document("ApnRoute", "apns", {"token": TOKEN}), "spec"),
    ("environment and endpoint", route(environment="Sandbox", endpoint="https://a.example"), "spec"),
    ("environment in lower case", route(environment="production"), "spec.environment"),
    ("endpoint", route(endpoint="https://apns.example:8443"), None),
    ("endpoint by IPv6", route(endpoint="https://[::1]:8443"), None),
    ("endpoint in clear", route(endpoint="http://apns.example"), "spec.endpoint"),
    ("endpoint with path", route(endpoint="https://apns.example/3/device"), "spec.endpoint"),
    ("endpoint legacy", route(endpoint="apn://gateway.push.apple.com?port=2195"), None),
    ("endpoint legacy sandbox", route(endpoint="http://gateway.sandbox.push.apple.com?port=2195"), None),
    ("endpoint legacy of somebody", route(endpoint="apn://apns.example?port=2195"), "spec.endpoint"),
    ("no credential", document("ApnRoute", "apns", {"environment": "Sandbox"}), "spec"),
    (
        "two credentials",
        document("ApnRoute", "apns", {"environment": "Sandbox", "token": TOKEN, "certificate": TOKEN}),
        "spec",
    ),
    ("token", route(token=TOKEN, topic="com.example.app"), None),
    ("certificate without secret", route(certificate={}), "spec.certificate.secretName"),
    ("secret name", route(certificate={"secretName": "A_B"}), "spec.certificate.secretName"),
    (
        "secret key",
        route(certificate={"secretName": "a", "certificateKey": "a/b"}),
        "spec.certificate.certificateKey",
    ),
    ("topic", route(topic="com.example app"), "spec.topic"),
    ("defaults", route(defaults={"pushType": "alert", "priority": 5, "collapseId": "a b"}), None),
    ("priority", route(defaults={"priority": 7}), "spec.defaults.priority"),
    ("priority in quotes", route(defaults={"priority": "5"}), "spec.defaults.priority"),
    ("push type", route(defaults={"pushType": "Alert"}), "spec.defaults.pushType"),
    ("collapse id of 65", route(defaults={"collapseId": "a" * 65}), "spec.defaults.collapseId"),
    ("collapse id not ASCII", route(defaults={"collapseId": "é"}), "spec.defaults.collapseId"),
    (
        "tls",
        route(tls={"verify": False, "ca": {"secretName": "ca"}, "ciphers": "DEFAULT", "minVersion": "1.3"}),
        None,
    ),
    ("tls version as number", route(tls={"minVersion": 1.3}), "spec.tls.minVersion"),
    ("verify as text", route(tls={"verify": "no"}), "spec.tls.verify"),
    ("proxy", route(proxy={"url": "http://proxy:3128", "auth": {"secretName": "p", "key": "auth"}}), None),
    ("proxy without port", route(proxy={"url": "http://proxy"}), "spec.proxy.url"),
    ("proxy with password", route(proxy={"url": "http://u:p@proxy:3128"}), "spec.proxy.url"),
    # ApnLogger
    ("file", logger(sink={"type": "File", "file": {"path": "/var/log/apn.log"}}), None),
    ("file without type", logger(sink={"file": {"path": "/var/log/apn.log"}}), "spec.sink.file"),
    ("type without file", logger(sink={"type": "File"}), "spec.sink.file"),
    ("relative path", logger(sink={"type": "File", "file": {"path": "apn.log"}}), "spec.sink.file.path"),
    (
        "mode as number",
        logger(sink={"type": "File", "file": {"path": "/a", "mode": 420}}),
        "spec.sink.file.mode",
    ),
    (
        "mode with setuid",
        logger(sink={"type": "File", "file": {"path": "/a", "mode": "4755"}}),
        "spec.sink.file.mode",
    ),
    (
        "no files kept",
        logger(sink={"type": "File", "file": {"path": "/a", "maxFiles": 0}}),
        "spec.sink.file.maxFiles",
    ),
    ("webhook", _webhook(), None),
    (
        "webhook in full",
        _webhook(
            url="http://[2001:db8::1]:8080/in?tenant=1",
            authorization={"secretName": "events", "key": "authorization"},
            signature={"secretName": "events", "key": "hmac"},
            ca={"secretName": "ca"},
            verify=False,
            timeout="5s",
            batchSize=1,
            batchInterval="100ms",
            maxRetryInterval="1m",
            maxEvents=1,
            maxSize="1Mi",
        ),
        None,
    ),
    ("webhook without type", logger(sink={"webhook": {"url": "https://a.example"}}), "spec.sink.webhook"),
    ("type without webhook", logger(sink={"type": "Webhook"}), "spec.sink.webhook"),
    ("webhook without address", logger(sink={"type": "Webhook", "webhook": {}}), "spec.sink.webhook.url"),
    ("webhook without scheme", _webhook(url="events.example/in"), "spec.sink.webhook.url"),
    ("webhook with password", _webhook(url="https://u:p@events.example"), "spec.sink.webhook.url"),
    ("webhook with a blank", _webhook(url="https://events.example/a b"), "spec.sink.webhook.url"),
    ("webhook with a fragment", _webhook(url="https://events.example/a#b"), "spec.sink.webhook.url"),
    (
        "authorization without key",
        _webhook(authorization={"secretName": "events"}),
        "spec.sink.webhook.authorization.key",
    ),
    ("batch without events", _webhook(batchSize=0), "spec.sink.webhook.batchSize"),
    ("no wait for a batch", _webhook(batchInterval="0s"), "spec.sink.webhook.batchInterval"),
    ("no events", _webhook(maxEvents=0), "spec.sink.webhook.maxEvents"),
    ("filter", logger(filter={"outcomes": ["Permanent"], "reasons": ["Unregistered"]}), None),
    ("outcome", logger(filter={"outcomes": ["Failed"]}), "spec.filter.outcomes[0]"),
    ("outcome twice", logger(filter={"outcomes": ["Permanent", "Permanent"]}), "spec.filter.outcomes"),
    ("reason", logger(filter={"reasons": ["bad token"]}), "spec.filter.reasons[0]"),
    ("dead tokens", logger(filter={"deadTokens": True}), None),
    (
        "dead tokens and outcomes",
        logger(filter={"deadTokens": True, "outcomes": ["Permanent"]}),
        "spec.filter.deadTokens",
    ),
    ("compatibility", logger(compatibility="momentum"), "spec.compatibility"),
    ("no heartbeat", logger(heartbeat="0s"), None),
    ("empty format", logger(formats={"delivery": ""}), "spec.formats.delivery"),
    ("format", logger(format="JSON"), "spec.format"),
    # Fields that are not there
    ("unknown field", push_domain(spool={}), "spec.spool"),
    ("unknown field inside", _delivery(retryIntervals="5m"), "spec.delivery.retryIntervals"),
    ("snake case", _delivery(response_timeout="5s"), "spec.delivery.response_timeout"),
    ("unknown sink", logger(sink={"type": "Syslog"}), "spec.sink.type"),
]
