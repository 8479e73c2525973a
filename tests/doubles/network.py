"""The memory network where tests look for it; it lives in the product's simulation."""

from potp2p.simulation.network import MemoryHub, MemoryNetwork
from potp2p.simulation.transits import Penalty, Transit

__all__ = ["MemoryHub", "MemoryNetwork", "Penalty", "Transit"]
