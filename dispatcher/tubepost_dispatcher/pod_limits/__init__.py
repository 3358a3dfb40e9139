"""Limits that the workers of a pod keep together: counts that are held, and rates.

`port` says what the rest of the dispatcher needs; `local` is for one process, `shared` for several, by
`memory` that they share. Nothing here waits: not for a lock, and not for another worker.
"""
