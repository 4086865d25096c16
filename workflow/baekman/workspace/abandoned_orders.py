"""The orders of an intake, their key and aligned lanes: destroyed at its end, or by the next command after a kill."""

from __future__ import annotations

import os
import shutil

from baekman.files.locks import open_for_lock, try_lock
from baekman.files.secret_file import destroy_secret
from baekman.workspace.paths import DeliveryFolder, Workspace


def destroy_orders(home: DeliveryFolder) -> None:
    """Destroy the key of the orders of a delivery, then the orders and the lanes that jobs aligned."""
    destroy_secret(home.orders_key)
    shutil.rmtree(home.orders, ignore_errors=True)
    shutil.rmtree(home.lanes, ignore_errors=True)


def destroy_abandoned(workspace: Workspace) -> list[str]:
    """Destroy the orders of each delivery that no live run receives; return the IDs of these deliveries, sorted."""
    left = [*workspace.deliveries.glob("D*/orders*"), *workspace.deliveries.glob("D*/lanes")]
    deliveries = sorted({path.parent.name for path in left})
    abandoned = []
    for delivery_id in deliveries:
        descriptor = open_for_lock(workspace.delivery(delivery_id).intake_lock)
        try:
            if try_lock(descriptor):
                destroy_orders(workspace.delivery(delivery_id))
                abandoned.append(delivery_id)
        finally:
            os.close(descriptor)
    return abandoned
