"""Where a node keeps its files: the folders of the system's conventions, or one folder for all."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from platformdirs import PlatformDirs

APPLICATION: Final = "potp2p"
NETWORK_DEFAULT: Final = "devnet"


@dataclass(frozen=True, slots=True)
class NodePaths:
    """The files of one node on one network."""

    configuration: Path
    """`config.toml`."""
    data: Path
    """Chain, blobs and keys."""

    @property
    def identity(self) -> Path:
        """Return the node's key file."""
        return self.data / "identity.key"

    @property
    def genesis(self) -> Path:
        """Return the genesis document."""
        return self.data / "genesis.cbor"

    @property
    def status_socket(self) -> Path:
        """Return the socket on which a running node tells its status."""
        return self.data / "status.sock"


def node_paths(data_folder: Path | None = None, *, network: str = NETWORK_DEFAULT) -> NodePaths:
    """Return the paths of a node; a given data folder moves everything, configuration included."""
    if data_folder is not None:
        folder = data_folder.expanduser().absolute()
        return NodePaths(folder / "config.toml", folder)
    folders = PlatformDirs(APPLICATION, appauthor=False)
    return NodePaths(
        Path(folders.user_config_dir) / "config.toml", Path(folders.user_data_dir) / network
    )
