"""A validator whose record of signatures is destroyed: refused, mended, silent, and back."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from potp2p.benchmarks.consensus_network import (
    BenchNetwork,
    Validator,
    bench_genesis,
    bench_key,
    start_network,
)
from potp2p.benchmarks.crashes import Told
from potp2p.processes.fleet import Fleet
from potp2p.processes.programs import Programs
from potp2p.protocol.wire.genesis import Genesis
from potp2p.protocol.wire.schema import decode
from potp2p.settings.keys import SAFETY_RECORD

SECONDS = 240
LOOK_SECONDS = 0.1
HEIGHTS_AWAY = 5


def potp2p(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)


async def until(told: Told, network: BenchNetwork, condition: Callable[[], bool]) -> None:
    with trio.fail_after(SECONDS):
        while True:
            told.read(network)
            if condition():
                return
            await trio.sleep(LOOK_SECONDS)


@pytest.mark.long
async def test_validator_that_lost_its_record_is_mended_and_votes_from_the_next_epoch_on(
    tmp_path: Path,
) -> None:
    seats = tuple(
        Validator(seat, bench_key(f"validator-{seat}"), tmp_path / f"v{seat}") for seat in range(4)
    )
    genesis = decode(Genesis, bench_genesis(seats))
    epoch_blocks = genesis.consensus.cycle_blocks * genesis.consensus.epoch_cycles
    (tmp_path / "logs").mkdir()
    programs = Programs()
    programs = replace(programs, validator=programs.witness)
    fleet = Fleet(tmp_path / "logs")
    network = BenchNetwork(tmp_path, seats, programs, fleet, 100, {}, block_milliseconds=100)
    told, victim = Told(), seats[3]
    node = victim.keys.node_id.hex()
    try:
        await start_network(network)
        await until(told, network, lambda: told.height >= HEIGHTS_AWAY)
        await network.kill(victim)
        told.read(network)
        record = victim.folder / SAFETY_RECORD
        record.write_bytes(bytes(each ^ 0x55 for each in record.read_bytes()))

        data = ("--datadir", str(victim.folder))
        refused = await trio.to_thread.run_sync(potp2p, "start", *data, "--ui", "none")
        assert (refused.returncode, refused.stderr.count("\n")) == (6, 1), refused.stderr
        assert "chain repair" in refused.stderr
        mended = await trio.to_thread.run_sync(potp2p, "chain", "repair", *data, "--yes")
        assert mended.returncode == 0, mended.stderr

        told.read(network)
        away_until = told.height
        told.first_new.pop(node, None)
        network.start_validator(victim)
        await until(told, network, lambda: node in told.first_new)
    finally:
        await fleet.stop()
    said = [height for place_node, height, _, _ in told.said if place_node == node]
    back = min(height for height in said if height > away_until)
    assert told.doubles == []
    assert told.forks == []
    # Epochs are counted from height 0: the first word after the repair opens a later one.
    assert back // epoch_blocks > away_until // epoch_blocks
