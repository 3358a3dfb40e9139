"""The project's images, built by buildah from `images/Dockerfile` over a base that debootstrap makes.

No registry and no network inside a build: wheels are downloaded beforehand by this machine's pip (with its own
mirror, proxy and authority) and mounted. Finished images stand in one OCI layout, tagged by what they are made of,
from where a cluster's containerd imports them.
"""

from __future__ import annotations

import fnmatch
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

from tests.cluster.binaries import program
from tests.cluster.layout import PROJECT, ClusterError, lock, root, say, write_atomically
from tests.peers import tools

TARGETS = ("operator", "dispatcher", "simulator")
"""Targets of images/Dockerfile."""
PAUSE = "localhost/tubepost-pause:1"
"""The image of pod sandboxes."""
NATS = "nats-server"
"""The image of a NATS server, which is no target: it has the program that the tests' peers have."""
NATS_ALSO = "docker.io/library/nats:2.12-alpine"
"""What docs/queue-jetstream.md calls it."""
_DEBIAN = "bookworm"
_BASE_PACKAGES = ("ca-certificates", "python3", "python3-venv")
_BUILDER_PACKAGES = (*_BASE_PACKAGES, "gcc", "libc6-dev", "libpython3-dev")
_BASE_RECIPE = "1"
_COMPILED = "/root/.cache/tubepost/compiled"
"""Where a build finds what an earlier one compiled: most changes concern nothing that is compiled."""
_MIRRORS = Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list")
_PLATFORMS = ("manylinux_2_34", "manylinux_2_31", "manylinux_2_28", "manylinux_2_17", "manylinux2014")
_MANY = 100
"""Images in buildah's storage from which on the leftovers of old builds are thrown away."""
_KEPT = 6
"""Builds whose images stay in the layout; several checkouts share it."""
_TAG = "org.opencontainers.image.ref.name"
_IMPORT_NAME = "io.containerd.image.name"


@dataclass(frozen=True)
class Image:
    """A finished image: its tag in the layout, the name that the tests' pods use, and others."""

    tag: str
    name: str
    also: tuple[str, ...] = ()


def image_name(target: str, tag: str = "test") -> str:
    """What pods call the image of a target, `localhost/tubepost-dispatcher:test`."""
    return f"localhost/tubepost-{target}:{tag}"


def chart_names() -> str:
    """What the chart calls the images by default, with {} for the target."""
    return f"docker.io/tubepost/{{}}:{version('tubepost')}"


def build(targets: Sequence[str] = TARGETS, also: str = "") -> list[Image]:
    """Build what changed since the last time; NATS' image and that of sandboxes are the last of the result.

    Args:
        targets: of the Dockerfile.
        also: a name, with {} for the target, that pods can use beside the tests' and the chart's own.

    Raises:
        ClusterError: a step failed; the text ends with its output.
    """
    with lock("images"):
        key = source_key()
        others = [chart_names(), *([also] if also else [])]
        images = [
            Image(f"{target}-{key}", image_name(target), tuple(name.format(target) for name in others))
            for target in targets
        ]
        wanted = [image for image in images if image.tag not in _tags()]
        if wanted:
            say(f"building {', '.join(image.name for image in wanted)}")
            wheels = _wheels()
            for image, target in zip(images, targets, strict=True):
                if image in wanted:
                    _push(_build_target(target, wheels), image.tag)
        images += [_nats(), _pause()]
        if len(_buildah("images", "--quiet").split()) > _MANY:
            # Steps of old builds that nothing stands on: every build looks through them.
            _buildah("rmi", "--prune", "--force")
        _prune({image.tag for image in images})
    return images


def source_key() -> str:
    """A hash of everything that the images are made of: the build context and the recipe of the base."""
    context = BuildContext((PROJECT / "images" / "Dockerfile.dockerignore").read_text())
    digest = sha256(f"{_DEBIAN} {_BASE_PACKAGES} {_BUILDER_PACKAGES} {_BASE_RECIPE}".encode())
    digest.update((PROJECT / "images" / "Dockerfile").read_bytes())
    for path in context.files(PROJECT):
        name = path.relative_to(PROJECT).as_posix()
        content = path.read_bytes()
        digest.update(f"{name} {os.access(path, os.X_OK)} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()[:16]


class BuildContext:
    """As much of the dockerignore format as ours uses: `*`, `!file`, `!directory/` and `**/pattern`."""

    def __init__(self, text: str) -> None:
        lines = [line.strip() for line in text.splitlines()]
        patterns = [line for line in lines if line and not line.startswith("#")]
        self.kept = [line[1:].rstrip("/") for line in patterns if line.startswith("!")]
        self.dropped = [line.removeprefix("**/").rstrip("/") for line in patterns if line.startswith("**/")]

    def files(self, directory: Path) -> Iterator[Path]:
        """The files of the build context, sorted."""
        for kept in sorted(self.kept):
            path = directory / kept
            candidates = [path] if path.is_file() else sorted(path.rglob("*"))
            for found in candidates:
                parts = found.relative_to(directory).parts
                if found.is_file() and not any(fnmatch.filter(parts, pattern) for pattern in self.dropped):
                    yield found


def rebuilt_layers(target: str) -> tuple[list[str], list[str]]:
    """Digests of the layers of a target as it was built last, and as it is when built again from nothing."""
    with lock("images"):
        once = _build_target(target, _wheels())
        again = _build_target(target, _wheels(), again=True)
        layers = [_inspect(name)["rootfs"]["diff_ids"] for name in (once, again)]
        _buildah("rmi", again)
    return layers[0], layers[1]


def _build_target(target: str, wheels: Path, *, again: bool = False) -> str:
    """Build one target of the Dockerfile, `again`: nothing is taken from earlier builds; its name in buildah's storage."""
    name = f"localhost/tubepost-build-{target}:{'again' if again else 'latest'}"
    before = _buildah("images", "--quiet", "--no-trunc", "--filter", f"reference={name}").split()
    compiled = root() / "compiled"
    compiled.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root()) as scratch:
        pip_conf = Path(scratch, "pip.conf")
        pip_conf.write_text("[global]\nno-index = true\nfind-links = /wheels\n")
        _buildah(
            "bud", "--quiet", "--layers", *(["--no-cache"] if again else []), "--timestamp", "0", "--network", "none", "--pull=false",
            "--volume", f"{pip_conf}:/etc/pip.conf:ro", "--volume", f"{wheels}:/wheels:ro",
            *([] if again else ["--volume", f"{compiled}:{_COMPILED}:rw"]),
            "--build-arg", f"BASE={_base('base', _BASE_PACKAGES)}",
            "--build-arg", f"BUILDER={_base('builder', _BUILDER_PACKAGES)}", "--target", target, "--tag", name,
            "--file", str(PROJECT / "images" / "Dockerfile"),
            "--ignorefile", str(PROJECT / "images" / "Dockerfile.dockerignore"), str(PROJECT),
        )  # fmt: skip
    after = _buildah("images", "--quiet", "--no-trunc", "--filter", f"reference={name}").split()
    if old := set(before) - set(after):
        # With it go the steps that only it used; every build looks through all that are left.
        _buildah("rmi", *old)
    return name


def _pause() -> Image:
    binary = program("init")
    return _alone(Image(f"pause-{binary.parent.name}", PAUSE), binary)


def _nats() -> Image:
    try:
        binary = tools.find(NATS)
    except tools.MissingToolError as error:
        raise ClusterError(str(error)) from error
    return _alone(Image(f"nats-{binary.parent.name}", image_name(NATS), (NATS_ALSO,)), binary)


def _alone(image: Image, binary: Path) -> Image:
    """Build an image of one program that needs nothing else, where it is not there."""
    if image.tag not in _tags():
        with tempfile.TemporaryDirectory(dir=root()) as scratch:
            shutil.copy(binary, Path(scratch, "program"))
            Path(scratch, "Dockerfile").write_text(
                'FROM scratch\nCOPY program /program\nENTRYPOINT ["/program"]\n'
            )
            _buildah("bud", "--quiet", "--timestamp", "0", "--tag", image.name, scratch)
        _push(image.name, image.tag)
    return image


def _base(kind: str, packages: Sequence[str]) -> str:
    """An image to build from: Debian with Python and other packages, without documentation and package lists."""
    recipe = sha256(f"{_DEBIAN} {packages} {_BASE_RECIPE}".encode()).hexdigest()[:12]
    name = f"localhost/tubepost-{kind}:{recipe}"
    if _buildah("images", "--quiet", "--filter", f"reference={name}").strip():
        return name
    say(f"making the {kind} image with debootstrap; this happens once")
    scratch = Path(tempfile.mkdtemp(prefix=".base-", dir=root()))
    try:
        system = scratch / "system"
        include = f"--include={','.join(packages)}"
        _run("debootstrap", "--variant=minbase", include, _DEBIAN, str(system), _mirror())
        for waste in ("var/cache/apt", "var/lib/apt/lists", "var/log", "usr/share/doc", "usr/share/man",
                      "usr/share/locale", "usr/share/info", "tmp"):  # fmt: skip
            _empty(system / waste)
        for cached in list(system.rglob("__pycache__")):
            shutil.rmtree(cached)
        # The standard library's byte code saves half a second at each start; packages do not ship it.
        _run("chroot", str(system), "python3", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash",
             "/usr/lib/python3.11")  # fmt: skip
        _empty(system / "dev")  # the container runtime brings its own
        _run("tar", "-C", str(system), "-cf", str(scratch / "base.tar"), ".")
        shutil.rmtree(system)
        (scratch / "Dockerfile").write_text("FROM scratch\nADD base.tar /\n")
        _buildah("bud", "--quiet", "--timestamp", "0", "--tag", name, str(scratch))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return name


def _empty(directory: Path) -> None:
    for path in directory.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _mirror() -> str:
    """The Debian mirror that this machine's apt uses."""
    for path in _MIRRORS:
        if path.exists():
            for line in path.read_text().splitlines():
                words = line.split()
                uris = words[1:] if words[:1] in (["URIs:"], ["deb"]) else []
                found = [
                    word for word in uris if word.startswith("http") and word.rstrip("/").endswith("/debian")
                ]
                if found:
                    return found[0]
    return "http://deb.debian.org/debian"


def _wheels() -> Path:
    """All wheels of the lock files, for the Python of the base."""
    locks = [
        PROJECT / "requirements" / f"{name}.lock" for name in ("build", "compile", "operator", "runtime")
    ]
    digest = sha256(b"".join(path.read_bytes() for path in locks)).hexdigest()[:16]
    target = root() / "wheels" / digest
    if target.is_dir():
        return target
    say("downloading the locked wheels")
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".wheels-", dir=target.parent))
    try:
        options = [
            "--python-version=3.11",
            "--only-binary=:all:",
            "--require-hashes",
            "--quiet",
            "--dest",
            str(scratch),
        ]
        options += [f"--platform={name}_{os.uname().machine}" for name in _PLATFORMS]
        for path in locks:
            _run(sys.executable, "-m", "pip", "download", *options, "--requirement", str(path))
        scratch.chmod(0o755)
        scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    for old in target.parent.iterdir():
        if old != target:
            shutil.rmtree(old, ignore_errors=True)
    return target


def export(images: Sequence[Image], stream: IO[bytes], *, present: frozenset[str] = frozenset()) -> None:
    """Write an OCI archive of `images` to `stream`, as `ctr images import` reads it.

    Blobs whose digest is in `present` are left out: the receiving content store has them.
    """
    wanted = {image.tag: (image.name, *image.also) for image in images}
    with lock("layout", shared=True):
        manifests = [
            {**entry, "annotations": {_IMPORT_NAME: name}}
            for entry in _index()["manifests"]
            for name in wanted.get(entry["annotations"][_TAG], ())
        ]
        with tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as archive:
            for digest in sorted(_reachable(manifests) - present):
                archive.add(_blob(digest), f"blobs/sha256/{digest}")
            files = {
                "oci-layout": {"imageLayoutVersion": "1.0.0"},
                "index.json": {"schemaVersion": 2, "manifests": manifests},
            }
            for name, content in files.items():
                data = json.dumps(content).encode()
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))


def _layout() -> Path:
    return root() / "oci"


def _blob(digest: str) -> Path:
    return _layout() / "blobs" / "sha256" / digest.removeprefix("sha256:")


def _index() -> dict[str, Any]:
    path = _layout() / "index.json"
    if not path.exists():
        return {"schemaVersion": 2, "manifests": []}
    index: dict[str, Any] = json.loads(path.read_text())
    return index


def _tags() -> set[str]:
    return {entry["annotations"][_TAG] for entry in _index()["manifests"]}


def _push(local: str, tag: str) -> None:
    """Put an image of buildah's storage into the layout, its layers as they are: packing them takes longest of all."""
    _blob("").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root()) as scratch:
        image = _inspect(local)
        if not all(_blob(digest).exists() for digest in image["rootfs"]["diff_ids"]):
            _buildah("push", "--quiet", "--disable-compression", "--format", "oci", local, f"dir:{scratch}")
            for path in Path(scratch).iterdir():
                if path.name not in ("manifest.json", "version"):
                    path.rename(_blob(path.name))
    with lock("layout"):
        config = _write_blob(image)
        layers = [_descriptor(digest, "layer.v1.tar") for digest in image["rootfs"]["diff_ids"]]
        manifest = _write_blob(
            {"schemaVersion": 2, "config": _descriptor(config, "config.v1+json"), "layers": layers}
        )
        index = _index()
        entry = {**_descriptor(manifest, "manifest.v1+json"), "annotations": {_TAG: tag}}
        others = [other for other in index["manifests"] if other["annotations"][_TAG] != tag]
        write_atomically(_layout() / "index.json", json.dumps({**index, "manifests": [*others, entry]}))


def _inspect(local: str) -> dict[str, Any]:
    """The configuration of an image in buildah's storage, as the OCI image specification has it."""
    config: dict[str, Any] = json.loads(
        _buildah("inspect", "--type", "image", "--format", "{{.Config}}", local)
    )
    return config


def _descriptor(digest: str, media: str) -> dict[str, Any]:
    return {
        "mediaType": f"application/vnd.oci.image.{media}",
        "digest": digest,
        "size": _blob(digest).stat().st_size,
    }


def _write_blob(document: dict[str, Any]) -> str:
    data = json.dumps(document, sort_keys=True).encode()
    digest = sha256(data).hexdigest()
    _blob(digest).write_bytes(data)
    return f"sha256:{digest}"


def _reachable(manifests: Sequence[dict[str, Any]]) -> set[str]:
    found = set()
    for entry in manifests:
        manifest = json.loads(_blob(entry["digest"]).read_text())
        parts = (entry, manifest["config"], *manifest["layers"])
        found |= {part["digest"].removeprefix("sha256:") for part in parts}
    return found


def _prune(used: set[str]) -> None:
    """Forget old builds: the layout keeps the newest, which a cluster that is starting elsewhere may still load."""
    index = _index()
    kept = [entry for entry in index["manifests"] if entry["annotations"][_TAG] in used]
    others = [entry for entry in index["manifests"] if entry not in kept]
    kept = [*others[-_KEPT * len(TARGETS) :], *kept]
    if len(kept) == len(index["manifests"]):
        return
    with lock("layout"):
        write_atomically(_layout() / "index.json", json.dumps({**index, "manifests": kept}))
        reachable = _reachable(kept)
        for blob in _blob("").iterdir():
            if blob.name not in reachable:
                blob.unlink()


def _buildah(command: str, *arguments: str) -> str:
    storage = root() / "storage"
    places = (
        "--root",
        str(storage / "root"),
        "--runroot",
        str(storage / "run"),
        "--storage-driver",
        "overlay",
    )
    environment = {**os.environ, "BUILDAH_ISOLATION": "chroot", "TMPDIR": str(root())}
    return _run("buildah", *places, command, *arguments, environment=environment)


def _run(*command: str, environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=1800)
    if done.returncode:
        raise ClusterError(f"{' '.join(command[:8])} ... failed:\n{(done.stdout + done.stderr)[-6000:]}")
    return done.stdout
