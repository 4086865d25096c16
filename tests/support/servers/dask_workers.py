"""A Dask cluster for the tests, on the loopback address, which speaks TLS only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from distributed import LocalCluster
from distributed.security import Security

SECURITY = Security.temporary()
CERTIFICATE = {
    "distributed.comm.tls.ca-file": SECURITY.tls_ca_file,
    "distributed.comm.tls.client.cert": SECURITY.tls_client_cert,
    "distributed.comm.tls.client.key": SECURITY.tls_client_key,
}


@contextmanager
def tls_cluster(*, workers: int, processes: bool) -> Iterator[str]:
    """Yield the address of a scheduler with ``workers`` of one thread each, in processes of their own or in this one.

    Its clients need ``CERTIFICATE`` in Dask's configuration.
    """
    with LocalCluster(
        n_workers=workers, threads_per_worker=1, processes=processes, host="127.0.0.1", dashboard_address=None,
        protocol="tls", security=SECURITY,
    ) as cluster:  # fmt: skip
        yield cluster.scheduler_address
