"""Each miner's lie, alone with a device: what the protocol's verdict says about it."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import trio
import trio.testing

from potp2p.foundation.errors import ConfigurationError
from potp2p.foundation.types import Digest, Round, ShardIndex, TaskId
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.verification.commitments import Finding
from potp2p.protocol.verification.tolerance import tolerance_of
from potp2p.protocol.verification.verdict import Claims, Verdict, verdict_of
from potp2p.protocol.wire.manifests import INITIAL_FILE, MODEL_FILE, shard_file
from potp2p.protocol.wire.tasks import TaskRules
from potp2p.simulation.adversaries.cheat import Cheat, CheatingWorkers, League
from potp2p.simulation.adversaries.kinds import POISONS, Kind, Place, parse_kind
from potp2p.simulation.adversaries.linear import LinearWorkers, write_linear_package
from potp2p.simulation.adversaries.roster import cheat_of, parts_of
from potp2p.simulation.genesis import key_of
from potp2p.simulation.packages import make_rules
from potp2p.training.commands import Aggregate, Lease, Replay, Train
from potp2p.training.reports import Replayed, Trained

TASK = TaskId(sha256(b"a task"))
LONELY = (Kind.COPIER, Kind.PERTURBED_COPIER)
"""They need others to copy from."""


@dataclass(slots=True)
class Bench:
    """One device, a package, and a lease after another."""

    folder: Path
    rules: TaskRules
    theta: Path

    async def lease(
        self, workers: CheatingWorkers | LinearWorkers, round_: int, shard: int
    ) -> tuple[Train, Trained]:
        """Train one lease, whoever's."""
        lease = Lease(key_of("miner").account, TASK, Round(round_), ShardIndex(shard))
        command = Train(
            lease,
            self.rules,
            str(self.folder / MODEL_FILE),
            str(self.theta),
            str(self.folder / shard_file(shard)),
            str(self.folder / f"{round_}-{shard}.payload"),
        )
        trained = await workers.execute(command)
        assert isinstance(trained, Trained)
        return command, trained

    async def judge(self, command: Train, trained: Trained) -> Verdict:
        """Replay a lease honestly and let the protocol's integers decide."""
        replay = Replay(
            command.lease,
            command.rules,
            command.model,
            command.theta,
            str(self.folder / shard_file(command.lease.shard)),
            command.payload,
            Digest(bytes(32)),
        )
        found = await LinearWorkers().execute(replay)
        assert isinstance(found, Replayed)
        claims = Claims(trained.trace, trained.loss_before, trained.loss_after, trained.diverged)
        finding = Finding(
            found.trace, found.loss_before, found.loss_after, found.distances, found.instability
        )
        tolerance = tolerance_of(command.rules.model.tolerance, command.rules.mode)
        return verdict_of(claims, finding, tolerance)

    async def next_theta(self, command: Train) -> None:
        """Go on to the next round's checkpoint."""
        result = self.folder / "next.safetensors"
        await LinearWorkers().execute(
            Aggregate(
                self.rules,
                TASK,
                command.lease.round,
                command.model,
                str(self.theta),
                (command.payload,),
                str(result),
                str(self.folder / shard_file(0)),
            )
        )
        self.theta = result


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    rules = make_rules(rounds=3, shards=4)
    write_linear_package(tmp_path / "package", rules)
    return Bench(tmp_path / "package", rules, tmp_path / "package" / INITIAL_FILE)


def cheating(kind: Kind, folder: Path) -> CheatingWorkers:
    return CheatingWorkers(LinearWorkers(), cheat_of(kind, Place.MINER, League(folder / "league")))


async def test_honest_work_passes_in_every_lease(
    bench: Bench, autojump_clock: trio.testing.MockClock
) -> None:
    for shard in range(4):
        command, trained = await bench.lease(LinearWorkers(), 0, shard)
        assert await bench.judge(command, trained) is Verdict.PASS


@pytest.mark.parametrize(
    "kind",
    [*(kind for kind in POISONS if kind not in LONELY), Kind.FALSE_LOSS, Kind.NO_REVEAL],
)
async def test_no_lie_of_a_miner_passes_a_replay(
    bench: Bench, kind: Kind, tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    workers = cheating(kind, tmp_path)
    # A round to learn from: whoever wants stale weights or another shard has none at first.
    command, _ = await bench.lease(workers, 0, 0)
    await bench.next_theta(command)
    command, trained = await bench.lease(workers, 1, 2)
    assert await bench.judge(command, trained) is Verdict.FAIL


async def test_a_free_rider_computes_one_lease_and_claims_them_all(
    bench: Bench, tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    workers = cheating(Kind.FREE_RIDER, tmp_path)
    for shard in range(4):
        await bench.lease(workers, 0, shard)
    deeds = workers.cheat.deeds
    assert (deeds["computed train"], deeds["asked to train"]) == (1, 4)


async def test_a_league_tells_its_members_the_trace_and_nobody_else(
    bench: Bench, tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    league = League(tmp_path / "league")
    pair = CheatingWorkers(LinearWorkers(), cheat_of(Kind.COLLUDING_PAIR, Place.MINER, league))
    command, trained = await bench.lease(pair, 0, 0)
    assert league.told(command.lease) == trained
    assert League(tmp_path / "others").told(command.lease) is None


def every_cheat(folder: Path) -> list[Cheat]:
    league = League(folder)
    return [cheat_of(kind, place, league) for kind in Kind for place in parts_of(kind)]


def test_every_adversary_says_what_it_hopes_for_and_what_stops_it(tmp_path: Path) -> None:
    for cheat in every_cheat(tmp_path):
        words = str(type(cheat).__doc__)
        assert "Hopes" in words or "approval" in words, cheat.KIND
        assert "topped" in words or "ounded" in words or "slashed" in words, cheat.KIND


def test_an_unknown_adversary_is_refused_with_the_list_of_those_there_are() -> None:
    with pytest.raises(
        ConfigurationError, match="unknown adversary robber; there are: free-rider, copier"
    ):
        parse_kind("robber")
