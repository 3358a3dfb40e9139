"""`kubectl tubepost`: a Tubepost in a cluster, seen and steered with the user's own rights."""
