"""The schema that operator, dispatcher and command line share: pydantic and the standard library only."""
