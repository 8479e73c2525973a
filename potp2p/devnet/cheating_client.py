"""
A client that serves its package to f + 1 validators until they attest it, and then to nobody.

`python -m potp2p.devnet.cheating_client DATADIR PACKAGE` prints what `potp2p task submit --json`
does.
"""

import json
import sys
from pathlib import Path
from typing import Final

import trio

from potp2p.client.light import trust_in
from potp2p.client.package import load_package
from potp2p.client.session import Client
from potp2p.foundation.errors import UnreachableError
from potp2p.foundation.types import POT, Amount
from potp2p.network.adapter import Network, NetworkConfiguration
from potp2p.protocol.crypto.identity import KeyPair
from potp2p.protocol.scheduling.task_text import parse
from potp2p.protocol.wire.manifests import TASK_FILE
from potp2p.settings.configuration import load_configuration
from potp2p.settings.keys import load_key
from potp2p.simulation.adversaries.clients import PartialBlobs, few_of
from potp2p.storage.blobs import BlobFiles

FEE: Final = Amount(POT // 100)
LOOK_SECONDS: Final = 0.5


async def submit(folder: Path, package_folder: Path) -> None:
    """Place the order and vanish once it is attested."""
    configuration = load_configuration(folder / "config.toml", environment={}, flags={})
    secret = load_key(folder / "wallet.key")
    trust, genesis = trust_in((folder / "genesis.cbor").read_bytes())
    keys = KeyPair.from_secret(secret)
    network = Network(
        NetworkConfiguration(
            secret_key=secret,
            chain_id=trust.chain_id,
            listen=configuration.network.listen,
            bootstrap=configuration.network.bootstrap,
        )
    )
    store = BlobFiles(folder / "cheating-blobs")
    blobs = PartialBlobs(
        store,
        network.streams,
        network.directory,
        keys.node_id,
        friends=few_of(trust.validators),
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(network.run)
        client = Client(keys, trust, genesis, network, store, blobs)
        await _meet(client)
        package = load_package(package_folder)
        budget = parse((package_folder / TASK_FILE).read_text(), TASK_FILE).budget
        task = await client.submit_task(package, budget, FEE)
        await client.serve_until_attested(task)
        nursery.cancel_scope.cancel()
    sys.stdout.write(json.dumps({"task": task.hex()}) + "\n")


async def _meet(client: Client) -> None:
    """Return once somebody answers."""
    while True:
        try:
            await client.chain()
        except UnreachableError:
            await trio.sleep(LOOK_SECONDS)
        else:
            return


if __name__ == "__main__":
    trio.run(submit, Path(sys.argv[1]), Path(sys.argv[2]))
