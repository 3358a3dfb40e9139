"""`python -m tubepost_simulator`."""

from tubepost_simulator.command import simulator

if __name__ == "__main__":
    simulator()
