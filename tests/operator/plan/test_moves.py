"""Every step between workloads, as a table, and invariants over any sequence of changes."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tubepost_api.config import ServingWorkload
from tubepost_operator.plan.moves import (
    QueuePod,
    Serving,
    Settlement,
    Target,
    Workload,
    WorkloadKind,
    other,
    settle,
    who_serves,
)

DIRECT = Target("Deployment", 2, queue=False)
EMPTY_DIR = Target("Deployment", 2, queue=True)
CLAIM = Target("StatefulSet", 2, queue=True)
D_ALONE = (ServingWorkload(kind="Deployment"),)
S_ALONE = (ServingWorkload(kind="StatefulSet"),)


def deployment(available: int = 2, *, queue: bool = False, replicas: int = 2) -> Workload:
    return Workload("Deployment", replicas, available, queue)


def stateful_set(available: int = 2, *, replicas: int = 2) -> Workload:
    return Workload("StatefulSet", replicas, available, queue=True)


def d(number: int = 0, left: int | None = 0, *, queue: bool = True, ready: bool = True) -> QueuePod:
    return QueuePod(f"alerts-x-{number}", "Deployment", None, queue, ready, left)


def s(ordinal: int, left: int | None = 0, *, ready: bool = True) -> QueuePod:
    return QueuePod(f"alerts-{ordinal}", "StatefulSet", ordinal, True, ready, left)


def decided(
    target: Target,
    *there: Workload,
    pods: tuple[QueuePod, ...] = (),
    before: tuple[ServingWorkload, ...] = (),
    abandon: bool = False,
) -> tuple[Serving, Settlement]:
    workloads = {workload.kind: workload for workload in there}
    serving = who_serves(target, workloads, pods, before)
    return serving, settle(target, workloads, pods, serving, abandon=abandon)


@pytest.mark.parametrize(
    ("what", "target", "there", "pods", "before", "serves", "remove", "replicas", "keep", "draining"),
    [
        ("nothing yet", CLAIM, (), (), (), (), False, 2, False, 0),
        ("settled Direct", DIRECT, (deployment(),), (d(queue=False),), (), (), False, 2, False, 0),
        ("settled claim", CLAIM, (stateful_set(),), (s(0), s(1)), (), (), False, 2, False, 0),
        ("settled emptyDir", EMPTY_DIR, (deployment(queue=True),), (d(0, 7),), (), (), False, 2, False, 0),
        # Direct to claim: nothing can be queued in the old one, it goes when the new one is complete.
        ("Direct to claim, begun", CLAIM, (deployment(),), (), (), (), False, 2, False, 0),
        ("Direct to claim, half", CLAIM, (deployment(), stateful_set(1)), (), (), (), False, 2, False, 0),
        ("Direct to claim, complete", CLAIM, (deployment(), stateful_set()), (), (), (), True, 2, False, 0),
        # Claim to Direct: the StatefulSet retires, and goes when all its queues are empty.
        ("claim to Direct, begun", DIRECT, (stateful_set(),), (s(0, 3),), (), (), False, 2, False, 1),
        (
            *("claim to Direct, half", DIRECT, (stateful_set(), deployment(1)), (s(0, 3), s(1)), ()),
            *((), False, 2, False, 1),
        ),
        (
            *("claim to Direct, complete", DIRECT, (stateful_set(), deployment()), (s(0, 3), s(1)), ()),
            *(D_ALONE, False, 2, False, 1),
        ),
        (
            *("claim to Direct, one replica down", DIRECT, (stateful_set(), deployment(1)), (s(0, 3),)),
            *(D_ALONE, D_ALONE, False, 2, False, 1),
        ),
        (
            *("claim to Direct, all down", DIRECT, (stateful_set(), deployment(0)), (s(0, 3),)),
            *(D_ALONE, (), False, 2, False, 1),
        ),
        (
            *("claim to Direct, not known", DIRECT, (stateful_set(), deployment()), (s(0, None), s(1))),
            *(D_ALONE, D_ALONE, False, 2, False, 1),
        ),
        (
            *("claim to Direct, empty", DIRECT, (stateful_set(), deployment()), (s(0), s(1))),
            *(D_ALONE, D_ALONE, True, 2, False, 0),
        ),
        (
            *("claim to Direct, empty, all down", DIRECT, (stateful_set(), deployment(0)), (s(0), s(1))),
            *(D_ALONE, (), False, 2, False, 0),
        ),
        (
            *("claim to Direct, ends", DIRECT, (deployment(),), (s(1), d(queue=False))),
            *((), D_ALONE, False, 2, False, 0),
        ),
        # Claim to emptyDir and back.
        (
            *("claim to emptyDir", EMPTY_DIR, (stateful_set(), deployment(queue=True)), (s(0, 3), d(0, 4))),
            *((), D_ALONE, False, 2, False, 1),
        ),
        (
            *("emptyDir to claim", CLAIM, (stateful_set(), deployment(queue=True)), (s(0, 3), d(0, 4), d(1))),
            *((), S_ALONE, False, 2, False, 1),
        ),
        (
            *("emptyDir to claim, empty", CLAIM, (stateful_set(), deployment(queue=True)), (s(0, 3), d(0))),
            *(S_ALONE, S_ALONE, True, 2, False, 0),
        ),
        # emptyDir to Direct: in place, the volume stays until it is empty.
        (
            *("emptyDir to Direct", DIRECT, (deployment(queue=True),), (d(0, 4), d(1))),
            *((), (), False, 2, True, 1),
        ),
        (
            *("emptyDir to Direct, empty", DIRECT, (deployment(queue=True),), (d(0), d(1))),
            *((), (), False, 2, False, 0),
        ),
        # Fewer replicas on claims: from the highest down, as far as they are empty.
        (
            *("4 to 2", CLAIM, (stateful_set(4, replicas=4),), (s(0, 9), s(1), s(2, 5), s(3, None)), ()),
            *((ServingWorkload(kind="StatefulSet", replicas=2),), False, 4, False, 2),
        ),
        (
            *("4 to 2, the last is empty", CLAIM, (stateful_set(2, replicas=4),)),
            *((s(0, 9), s(1), s(2, 5), s(3, 0, ready=False)), ()),
            *((ServingWorkload(kind="StatefulSet", replicas=2),), False, 3, False, 1),
        ),
        (
            *("4 to 2, the one before is empty", CLAIM, (stateful_set(2, replicas=4),)),
            *((s(0, 9), s(1), s(2, 0), s(3, 5)), ()),
            *((ServingWorkload(kind="StatefulSet", replicas=2),), False, 4, False, 1),
        ),
        (
            *("4 to 2, empty", CLAIM, (stateful_set(2, replicas=4),), (s(0), s(1), s(2), s(3)), ()),
            *((ServingWorkload(kind="StatefulSet", replicas=2),), False, 2, False, 0),
        ),
        (
            *("4 to 2, those that stay are down", CLAIM, (stateful_set(2, replicas=4),)),
            *((s(0, ready=False), s(1, ready=False), s(2), s(3)), ()),
            *((), False, 4, False, 0),
        ),
        (
            *("4 to 2, the others still end", CLAIM, (stateful_set(),), (s(0), s(1), s(2)), ()),
            *((ServingWorkload(kind="StatefulSet", replicas=2),), False, 2, False, 0),
        ),
        (
            *("to none", Target("StatefulSet", 0, queue=True), (stateful_set(),), (s(0, 1), s(1)), ()),
            *((ServingWorkload(kind="StatefulSet", replicas=0),), False, 1, False, 1),
        ),
        (
            *("claim to Direct with none", Target("Deployment", 0, queue=False), (stateful_set(),), (s(0, 1),)),
            *((), D_ALONE, False, 0, False, 1),
        ),
        # A change of mind in the middle of a move.
        (
            *("back to claim", CLAIM, (stateful_set(), deployment()), (s(0, 3), d(queue=False)), D_ALONE),
            *((), True, 2, False, 0),
        ),
        (
            *("fewer, while the emptyDirs go", CLAIM, (stateful_set(3, replicas=3), deployment(queue=True))),
            *((s(0), s(1), s(2, 1), d(0, 4)), ()),
            *((ServingWorkload(kind="StatefulSet", replicas=2),), False, 3, False, 2),
        ),
    ],
)  # fmt: skip
def test_the_steps(
    what: str,
    target: Target,
    there: tuple[Workload, ...],
    pods: tuple[QueuePod, ...],
    before: tuple[ServingWorkload, ...],
    serves: tuple[ServingWorkload, ...],
    remove: bool,
    replicas: int,
    keep: bool,
    draining: int,
) -> None:
    serving, settlement = decided(target, *there, pods=pods, before=before)
    found = (
        serving.who,
        settlement.remove_old,
        settlement.replicas,
        settlement.keep_queue,
        len(settlement.draining),
    )
    assert found == (serves, remove, replicas, keep, draining), what
    assert settlement.abandoned == ()


@pytest.mark.parametrize(
    ("target", "there", "pods", "replicas", "remove"),
    [
        (DIRECT, (stateful_set(), deployment()), (s(0, 3), s(1, None)), 2, True),
        (CLAIM, (stateful_set(2, replicas=4),), (s(0), s(1), s(2, 5), s(3, None)), 2, False),
        (DIRECT, (deployment(queue=True),), (d(0, 4), d(1, None)), 2, False),
    ],
)
def test_by_the_users_word_nothing_is_waited_for(
    target: Target, there: tuple[Workload, ...], pods: tuple[QueuePod, ...], replicas: int, remove: bool
) -> None:
    _, settlement = decided(target, *there, pods=pods, abandon=True)
    assert (settlement.replicas, settlement.remove_old, settlement.keep_queue) == (replicas, remove, False)
    assert settlement.draining == ()
    assert [pod.left for pod in settlement.abandoned] == [pod.left for pod in pods if pod.left != 0]


def test_not_even_then_is_the_old_workload_removed_before_the_new_one_serves() -> None:
    _, settlement = decided(DIRECT, stateful_set(), deployment(1), pods=(s(0, 3),), abandon=True)
    assert not settlement.remove_old


# -- any sequence of changes ------------------------------------------------------------------------------


@dataclass
class ModelPod:
    """A pod as it really is: what it serves by is the configuration that it has seen."""

    kind: WorkloadKind
    ordinal: int | None
    number: int
    queue: bool
    up: bool = False
    seen: tuple[ServingWorkload, ...] = ()
    queues: bool = False
    queued: int = 0

    @property
    def serves(self) -> bool:
        return serves(self, self.seen)

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.number if self.ordinal is None else self.ordinal}"


def serves(pod: ModelPod, who: tuple[ServingWorkload, ...]) -> bool:
    return (
        not pod.queue
        or not who
        or any(
            item.kind == pod.kind
            and (item.replicas is None or pod.ordinal is None or pod.ordinal < item.replicas)
            for item in who
        )
    )


@dataclass
class Model:
    """A cluster: controllers, pods and clients do what they do, in any order."""

    target: Target = DIRECT
    workloads: dict[WorkloadKind, Workload] = field(default_factory=dict)
    pods: list[ModelPod] = field(default_factory=list)
    claims: dict[int, int] = field(default_factory=dict)
    published: tuple[ServingWorkload, ...] = ()
    pods_made: int = 0

    def reconcile(self) -> None:
        there = {
            kind: Workload(kind, known.replicas, self._available(kind), known.queue)
            for kind, known in self.workloads.items()
        }
        seen = [self._observed(pod) for pod in self.pods]
        serving = who_serves(self.target, there, seen, self.published)
        names = {pod.name for pod in seen}
        known = there.get("StatefulSet")
        missing = [
            QueuePod(
                f"StatefulSet-{ordinal}", "StatefulSet", ordinal, left=None if ordinal in self.claims else 0
            )
            for ordinal in range(known.replicas if known else 0)
            if f"StatefulSet-{ordinal}" not in names
        ]
        settlement = settle(self.target, there, [*seen, *missing], serving)
        self._check_service(serving, settlement)
        self._carry_out(serving, settlement)

    def _available(self, kind: WorkloadKind) -> int:
        return sum(pod.kind == kind and pod.up and pod.serves for pod in self.pods)

    def _observed(self, pod: ModelPod) -> QueuePod:
        known_empty = not pod.queue or (
            pod.up and pod.queued == 0 and (not pod.serves or not (pod.queues or self.target.queue))
        )
        return QueuePod(
            pod.name,
            pod.kind,
            pod.ordinal,
            pod.queue,
            ready=pod.up and pod.serves,
            left=0 if known_empty else pod.queued or None,
        )

    def _check_service(self, serving: Serving, settlement: Settlement) -> None:
        """Whoever could serve: somebody does, and stays. Pods that are about to end could not."""
        up = [pod for pod in self.pods if pod.up and not self._ends(pod)]
        old = other(self.target.kind)
        stays = [
            pod
            for pod in up
            if serves(pod, serving.who)
            and not (settlement.remove_old and pod.kind == old)
            and not (
                pod.kind == self.target.kind == "StatefulSet"
                and pod.ordinal is not None
                and pod.ordinal >= settlement.replicas
            )
        ]
        assert stays or not up or self.target.replicas == 0

    def _ends(self, pod: ModelPod) -> bool:
        workload = self.workloads.get(pod.kind)
        return workload is None or (pod.ordinal is not None and pod.ordinal >= workload.replicas)

    def _carry_out(self, serving: Serving, settlement: Settlement) -> None:
        self.published = serving.who
        kind, old = self.target.kind, other(self.target.kind)
        queue = kind == "StatefulSet" or self.target.queue or settlement.keep_queue
        before = self.workloads.get(kind)
        if before is not None and kind == "StatefulSet" and settlement.replicas < before.replicas:
            lost = [
                number for number, count in self.claims.items() if count and number >= settlement.replicas
            ]
            assert not lost
        if before is not None and before.queue and not queue:
            assert all(pod.queued == 0 for pod in self.pods if pod.kind == kind)
        if before is not None and before.queue != queue:
            self.pods = [pod for pod in self.pods if pod.kind != kind]  # a roll, all at once
        self.workloads[kind] = Workload(kind, settlement.replicas, 0, queue)
        if settlement.remove_old:
            assert all(pod.queued == 0 for pod in self.pods if pod.kind == old)
            assert old == "Deployment" or not any(self.claims.values())
            del self.workloads[old]
            if old == "StatefulSet":
                self.claims.clear()

    def control(self) -> None:
        """The workloads' own controllers."""
        for kind in ("Deployment", "StatefulSet"):
            known = self.workloads.get(kind)  # type: ignore[call-overload]
            have = [pod for pod in self.pods if pod.kind == kind]
            wanted = known.replicas if known else 0
            if kind == "StatefulSet":
                keep = [pod for pod in have if pod.ordinal is not None and pod.ordinal < wanted]
                numbers = {pod.ordinal for pod in keep}
                fresh = [
                    ModelPod("StatefulSet", number, 0, queue=True, queued=self.claims.setdefault(number, 0))
                    for number in range(wanted)
                    if number not in numbers
                ]
            else:
                keep = have[:wanted]
                fresh = [self._fresh(known.queue) for _ in range(wanted - len(keep)) if known]
            for pod in fresh:
                self.see(pod)
            self.pods = [*(pod for pod in self.pods if pod.kind != kind), *keep, *fresh]

    def _fresh(self, queue: bool) -> ModelPod:
        self.pods_made += 1
        return ModelPod("Deployment", None, self.pods_made, queue=queue)

    def see(self, pod: ModelPod) -> None:
        pod.seen, pod.queues = self.published, self.target.queue and pod.queue

    def deliver(self, pod: ModelPod, count: int) -> None:
        if pod.up:
            self._queued(pod, max(0, pod.queued - count))

    def mail(self, pod: ModelPod) -> None:
        if pod.up and pod.serves and pod.queues:
            self._queued(pod, pod.queued + 3)

    def _queued(self, pod: ModelPod, count: int) -> None:
        pod.queued = count
        if pod.ordinal is not None:
            self.claims[pod.ordinal] = count

    def happen(self, what: str, pod: ModelPod) -> None:
        match what:
            case "up" | "down":
                pod.up = what == "up"
            case "see":
                self.see(pod)
            case "deliver":
                self.deliver(pod, 2)
            case "mail":
                self.mail(pod)
            case "evict":
                self.pods.remove(pod)

    def calm(self) -> None:
        """Nobody changes anything any more, and all goes well."""
        for _ in range(12):
            self.reconcile()
            self.control()
            for pod in self.pods:
                pod.up = True
                self.see(pod)
                self.deliver(pod, 1000)


TARGETS = st.builds(Target, st.just("Deployment"), st.integers(0, 3), st.booleans()) | st.builds(
    Target, st.just("StatefulSet"), st.integers(0, 4), st.just(True)
)
HAPPENS = st.lists(
    st.tuples(st.sampled_from(["up", "see", "mail", "down", "deliver", "evict"]), st.integers(-3, 7)),
    max_size=8,
)
"""What happens to which pod; to all of them, where the number is negative."""
ROUNDS = st.lists(st.tuples(st.none() | TARGETS, st.booleans(), HAPPENS, st.booleans()), max_size=25)
"""A change by the user or none, whether the operator looks, what happens, whether the controllers do."""


@settings(max_examples=200)
@given(ROUNDS)
def test_no_queue_is_lost_and_somebody_serves_whatever_changes(
    rounds: list[tuple[Target | None, bool, list[tuple[str, int]], bool]],
) -> None:
    model = Model()
    for target, looks, happens, controls in rounds:
        model.target = target or model.target
        if looks:
            model.reconcile()
        for what, number in happens:
            if model.pods:
                pods = model.pods if number < 0 else [model.pods[number % len(model.pods)]]
                for pod in list(pods):
                    model.happen(what, pod)
        if controls:
            model.control()
    model.calm()
    assert set(model.workloads) == {model.target.kind}
    settled = model.workloads[model.target.kind]
    assert (settled.replicas, settled.queue) == (model.target.replicas, model.target.queue)
    assert model.published == ()
    assert len(model.pods) == model.target.replicas
