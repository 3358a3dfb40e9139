"""The webhook sink of an ApnLogger: events in batches to an HTTP endpoint, kept until it has taken them."""
