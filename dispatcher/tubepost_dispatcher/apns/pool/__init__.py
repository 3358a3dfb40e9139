"""A pool: the connections of one endpoint and credential, and the requests that wait for them."""

from tubepost_dispatcher.apns.pool.options import PoolOptions
from tubepost_dispatcher.apns.pool.pool import Pool

__all__ = ["Pool", "PoolOptions"]
