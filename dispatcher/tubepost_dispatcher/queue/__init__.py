"""The queue of a worker: notifications that were acknowledged, kept in stores, and tried until they end."""
