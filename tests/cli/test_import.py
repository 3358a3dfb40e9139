from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from tests.importer.samples import APN, LISTENER, MANUAL
from tubepost_cli.main import main


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["import", *map(str, arguments)])


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    path = tmp_path / "ecelerity.conf"
    path.write_text(MANUAL)
    return path


def test_manifests_are_the_output_and_the_report_goes_beside_them(sample: Path) -> None:
    done = run(sample)
    assert done.exit_code == 0
    kinds = [d["kind"] for d in yaml.safe_load_all(done.stdout) if d]
    assert kinds == ["PushDomain", "ApnRoute", "ApnLogger"]
    assert f"= {sample}:16: max_outbound_connections = 20" in done.stderr
    assert "Statements: 19, of these" in done.stderr


def test_with_a_directory_the_report_is_the_output(sample: Path, tmp_path: Path) -> None:
    target = tmp_path / "new" / "push"
    done = run(sample, "-o", target, "--namespace", "ns", "--name", "alerts")
    assert done.exit_code == 0, done.output
    assert f"written: {target}/manifests.yaml" in done.stdout
    documents = [d for d in yaml.safe_load_all((target / "manifests.yaml").read_text()) if d]
    assert documents[0]["metadata"] == {"name": "alerts", "namespace": "ns"}
    again = run(sample, "-o", target)
    assert (again.exit_code, "--force overwrites it" in again.stderr) == (2, True)
    assert run(sample, "-o", target, "--force", "--report", "json").exit_code == 0
    checked = CliRunner().invoke(main, ["validate", "-f", str(target)])
    assert (checked.exit_code, "valid: 0 errors" in checked.output) == (0, True)


def test_the_report_as_json(sample: Path, tmp_path: Path) -> None:
    done = run(sample, "-o", tmp_path, "--report", "json")
    assert json.loads(done.stdout)["summary"] == {
        "NoCounterpart": 4,
        "Converted": 12,
        "ByHand": 3,
        "NotRead": 0,
    }


def test_an_error_leaves_no_manifests(sample: Path, tmp_path: Path) -> None:
    sample.write_text(MANUAL + "domain a.example [\n")
    done = run(sample, "-o", tmp_path / "out")
    assert done.exit_code == 2
    assert f"{sample}:32:18: '=' or '{{' is expected" in done.stdout
    assert "\n    domain a.example [\n                     ^\n" in done.stdout
    assert not (tmp_path / "out").exists()
    assert "Error: no manifests were written. Remedy: correct the errors" in done.stderr
    sample.write_text("")
    empty = run(sample, "-o", tmp_path / "out")
    assert (
        empty.exit_code,
        "Remedy: name a file with a domain that has delivery_method" in empty.stderr,
    ) == (2, True)


def test_includes_are_found_beside_the_file_in_directories_and_below_a_root(tmp_path: Path) -> None:
    for name, text in {
        "conf/e.conf": f'{LISTENER}include "beside.conf"\ninclude "other.conf"\ninclude "/opt/msys/d"\ninclude "gone"\n',
        "conf/beside.conf": f"domain a.example {{ {APN} }}",
        "elsewhere/other.conf": f"domain b.example {{ {APN} }}",
        "root/opt/msys/d/2.conf": f"domain d.example {{ {APN} }}",
        "root/opt/msys/d/1.conf": f"domain c.example {{ {APN} }}",
        "root/opt/msys/d/.hidden": "what is this",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    done = run(tmp_path / "conf/e.conf", "--root", tmp_path / "root", "-I", tmp_path / "elsewhere")
    assert done.exit_code == 0, done.stderr
    (document,) = [d for d in yaml.safe_load_all(done.stdout) if d and d["kind"] == "PushDomain"]
    assert [d["name"] for d in document["spec"]["domains"]] == [f"{x}.example" for x in "abcd"]
    assert 'include "gone"\n      (there is no such file here' in done.stderr


@pytest.mark.parametrize(
    "arguments", [["--namespace", "Not_One"], ["--name", "-x"], ["--acceptance", "later"]]
)
def test_what_is_no_value(sample: Path, arguments: list[str]) -> None:
    assert run(sample, *arguments).exit_code == 2


def test_a_directory_that_cannot_be_made_is_named(sample: Path) -> None:
    done = run(sample, "-o", sample / "below-a-file")
    assert done.exit_code == 1
    assert f"Error: cannot write {sample / 'below-a-file'}/manifests.yaml: Not a directory" in done.output
