"""The program that a supervisor starts as a worker where it cannot have one forked.

Arguments: file descriptors, as `program.serve` takes them.
"""

from __future__ import annotations

import sys

from tubepost_dispatcher.worker.program import serve

if __name__ == "__main__":
    serve(*map(int, sys.argv[1:]))
