"""`python -m tubepost_cli.kubectl`, which krew's launcher runs."""

from tubepost_cli.kubectl.main import main

main()
