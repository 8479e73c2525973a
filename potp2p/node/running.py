"""Which services of a node run: the same list under the real shell and under a simulator."""

import trio

from potp2p.node.composition import Node


def start_services(nursery: trio.Nursery, node: Node) -> None:
    """Start every service that the node has; they end with the nursery."""
    nursery.start_soon(node.outbox.run)
    nursery.start_soon(node.sync.run)
    nursery.start_soon(node.authoring.run)
    nursery.start_soon(node.evidence.run)
    nursery.start_soon(node.retention.run)
    if node.snapshots is not None:
        nursery.start_soon(node.snapshots.run)
    if node.consensus is not None:
        nursery.start_soon(node.consensus.run)
    if node.mining is not None:
        nursery.start_soon(node.mining.run)
    if node.judging is not None:
        nursery.start_soon(node.judging.run)
    if node.auditing is not None:
        nursery.start_soon(node.auditing.run)
