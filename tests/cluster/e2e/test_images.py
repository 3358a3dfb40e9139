"""What is in the images, seen from a pod within Pod Security `restricted`."""

from __future__ import annotations

import pytest

from tests.cluster import images
from tests.cluster.faults import Faults
from tests.cluster.handle import Cluster

# Prints what must not be there; the exit status says whether there was anything.
_LOOK = """
import importlib.util, os, pathlib, shutil, sys
wrong = []
if (os.getuid(), os.getgid()) != (65532, 65532):
    wrong.append(f"runs as {os.getuid()}:{os.getgid()}")
wrong += [f"{tool} is there" for tool in ("pip", "pip3", "gcc", "make") if shutil.which(tool)]
wrong += [f"module {name} is there" for name in ("pip", "setuptools", "hatchling", "ensurepip", *FORBIDDEN) if importlib.util.find_spec(name)]
wrong += [f"module {name} is missing" for name in NEEDED if not importlib.util.find_spec(name)]
home = pathlib.Path(sys.prefix)
for path in home.rglob("*"):
    if os.access(path, os.W_OK) and not path.is_symlink():
        wrong.append(f"{path} can be written to")
    if path.suffix == ".py" and "site-packages" in path.parts:
        if not pathlib.Path(importlib.util.cache_from_source(path)).exists():
            wrong.append(f"{path} is not compiled")
print(*(wrong or ["nothing wrong"]), sep="\\n")
sys.exit(bool(wrong))
"""


@pytest.mark.parametrize(
    ("target", "needed", "forbidden"),
    [
        ("operator", ("kopf", "kubernetes", "tubepost_operator"), ("pytest",)),
        ("dispatcher", ("uvloop", "tubepost_dispatcher"), ("kopf", "kubernetes", "pytest")),
        ("simulator", ("h2", "tubepost_simulator"), ("kopf", "kubernetes", "pytest")),
    ],
)
def test_an_image_has_what_it_needs_and_no_more(
    cluster: Cluster, namespace: str, target: str, needed: tuple[str, ...], forbidden: tuple[str, ...]
) -> None:
    script = f"NEEDED = {needed!r}\nFORBIDDEN = {forbidden!r}\n{_LOOK}"
    cluster.job(namespace, target, cluster.image(target), ["python", "-c", script])


def test_a_dispatcher_runs_compiled_modules(cluster: Cluster, namespace: str) -> None:
    script = "import tubepost_dispatcher.build_info as b; print(b.line()); assert b.modules() == 'compiled'"
    run = "import tubepost_dispatcher.smtp.session as s; assert not s.__file__.endswith('.py'); assert s.SmtpSession"
    cluster.job(namespace, "modules", cluster.image("dispatcher"), ["python", "-c", f"{script}; {run}"])


@pytest.mark.timeout(1_800, func_only=True)  # the second compiles anew
def test_two_builds_from_nothing_give_the_same_bytes(faults: Faults) -> None:
    once, again = images.rebuilt_layers("dispatcher")
    assert len(once) > 2
    assert once == again
