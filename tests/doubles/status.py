"""Status values for tests of the faces: a miner at work, and nodes of other roles."""

from dataclasses import replace

from potp2p.observability.status import (
    ChainStatus,
    ConsensusStatus,
    DeviceStatus,
    Identity,
    LeaseStatusLine,
    LogLine,
    MinerStatus,
    NodeStatus,
    PeerToPeerStatus,
    Reason,
    RootLine,
    StateCode,
    TaskLine,
)

NOW = 1_795_269_871.482
"""2026-11-21T14:04:31.482Z."""
TASK = "7f3a91c2" * 8


def miner_status(*, devices: int = 2, leases: int = 1, log_lines: int = 5) -> NodeStatus:
    """A miner at work, every number known."""
    return NodeStatus(
        time=NOW,
        identity=Identity(
            name="rig-lab",
            version="0.1.0",
            pid=48211,
            role="miner",
            network="devnet",
            chain_id="ab" * 32,
            node_id="03" + "cd" * 32,
            address="pot1qq7m4exampleexampleexampleexample9sd2",
            payout="pot1payoutexampleexampleexampleexample77",
            started_at=NOW - 187_912,
            data_folder="/home/user/.local/share/potp2p/devnet",
        ),
        state=StateCode.MINING,
        since=NOW - 333,
        reasons=(),
        network=PeerToPeerStatus(
            peers=34,
            inbound=12,
            listen=("/ip4/127.0.0.1/tcp/27680",),
            bytes_in=8_700_000_000,
            bytes_out=1_200_000_000,
            lost_messages=0,
            banned=1,
            bootstrap_connected=1,
            bootstrap_configured=1,
        ),
        chain=ChainStatus(
            height=48_213,
            target_height=48_213,
            synced=True,
            epoch=3,
            cycle=41,
            state_root="0f" * 32,
            block_time=NOW - 2.4,
            last_rank=0,
            last_view=0,
            last_signers=3,
            validators=4,
            pending_transactions=7,
            supply=1_000_000_000_000_000,
            burned=5_000_000_000,
            recent_roots=(RootLine(48_212, "0e" * 32), RootLine(48_213, "0f" * 32)),
        ),
        consensus=None,
        miner=MinerStatus(
            registered=True,
            live=True,
            bond=20_000_000_000,
            accepted=214,
            rejected=1,
            missed=0,
            in_audit=2,
            earned=41_300_000_000,
            last_accepted_at=NOW - 336,
            leases=tuple(
                LeaseStatusLine(TASK, 12, 3 + n, "training", 1_380, 2_000, 1.284, 48_230)
                for n in range(leases)
            ),
        ),
        devices=tuple(
            DeviceStatus(
                device=f"cuda:{n}",
                name="NVIDIA GeForce RTX 3090",
                memory_bytes=24 << 30,
                pid=4_000 + n,
                state="ready",
                busy="train",
                step=1_380,
                steps=2_000,
                steps_per_second=4.12,
                restarts=0,
            )
            for n in range(devices)
        ),
        tasks=(
            TaskLine(
                TASK, "running", "vit", "local", 12, 20, 0.412, 50_000_000_000, 31_000_000_000
            ),
        ),
        balance=128_402_000_000,
        log=tuple(
            LogLine(NOW - 30 + n, "miner", f"accepted ({n}/1) round 12 shard {n}")
            for n in range(log_lines)
        ),
        advice=None,
    )


def validator_status() -> NodeStatus:
    """A validator in the middle of a height."""
    status = miner_status(devices=1, leases=0)
    return replace(
        status,
        identity=replace(status.identity, role="validator", name="validator-2"),
        state=StateCode.VALIDATING,
        miner=None,
        consensus=ConsensusStatus(
            height=48_214,
            view=1,
            phase="prepare",
            seat=2,
            prepares=2,
            commits=0,
            quorum=3,
            view_changes=4,
            missing=(1,),
        ),
    )


def starting_status() -> NodeStatus:
    """A node that knows next to nothing yet."""
    status = miner_status(devices=0, leases=0, log_lines=0)
    assert status.miner is not None
    return replace(
        status,
        state=StateCode.STARTING,
        reasons=(Reason("no_peers", "no peer answered yet"),),
        network=replace(status.network, peers=0, inbound=0, bootstrap_connected=0),
        chain=replace(
            status.chain,
            height=0,
            target_height=None,
            synced=False,
            block_time=None,
            last_rank=None,
            last_view=None,
            last_signers=None,
        ),
        miner=replace(status.miner, registered=False, live=False, last_accepted_at=None),
        tasks=(),
        advice="check the bootstrap address in config.toml",
    )
