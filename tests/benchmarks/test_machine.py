from __future__ import annotations

from benchmarks import machine
from benchmarks.processes import machine_cpu, proportional

CPUINFO = "processor\t: 0\nmodel name\t: Some(R)  CPU @ 2.00GHz\n\nprocessor\t: 1\nmodel name\t: Other\n"


def test_facts_are_of_this_machine() -> None:
    found = machine.facts()
    assert found["cores"] >= 1
    assert found["memory_mib"] > 100
    assert found["processor"]
    assert f"{found['cores']} cores of {found['processor']}" in machine.said(found)


def test_what_proc_says() -> None:
    assert machine.processor(CPUINFO) == "Some(R) CPU @ 2.00GHz"
    assert machine.processor("Features: none\n") == ""
    assert machine.total("MemTotal:       24682024 kB\nMemFree: 1 kB\n") == 24_103
    assert machine.total("") == 0
    assert proportional("00400000-7ff [rollup]\nRss:  2000 kB\nPss:  1500 kB\nPss_Dirty: 1 kB\n") == 1_536_000
    assert proportional("Rss: 1 kB\n") == 0


def test_the_machines_cpu_only_grows() -> None:
    before = machine_cpu()
    sum(range(200_000))
    assert 0 < before <= machine_cpu()
