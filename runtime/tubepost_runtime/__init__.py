"""What every process of Tubepost is made of, whatever its job: tasks, back-off, log, metrics, endpoints."""
