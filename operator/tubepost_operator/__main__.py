"""`python -m tubepost_operator`."""

from __future__ import annotations

import asyncio
import sys

from tubepost_operator import log
from tubepost_operator.api import NoCluster
from tubepost_operator.app import Operator
from tubepost_operator.settings import parse


def main() -> None:
    """Run until told to stop."""
    settings = parse(sys.argv[1:])
    log.setup(settings.log_level, settings.log_format)
    try:
        asyncio.run(Operator(settings).run())
    except NoCluster as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
