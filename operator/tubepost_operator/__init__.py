"""The operator: custom resources into running dispatchers."""
