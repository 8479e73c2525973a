"""Whatever anybody says, in whatever order: no money appears or vanishes, and all agree."""

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from potp2p.foundation.types import POT, Amount, Epoch, Rank, ShardIndex
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.crypto.identity import KeyPair, account_of
from potp2p.protocol.ledger.transition import decode_transaction
from potp2p.protocol.verification.results import commit_to
from potp2p.protocol.wire.blocks import RANK_NONE
from potp2p.protocol.wire.transactions import (
    Anchor,
    Attest,
    AttestPackage,
    AuditCommit,
    Bond,
    CancelTask,
    Contribute,
    RegisterMiner,
    ResultCommit,
    RevealAudit,
    RevealTrace,
    RoundResult,
    SubmitTask,
    Transfer,
    Unbond,
)
from tests.doubles.ledger_world import (
    FORGED,
    HONEST,
    NEAR,
    RULES,
    LedgerWorld,
    build_world,
    result_of,
    with_audits,
)

MUTABLE = (
    AttestPackage,
    Attest,
    ResultCommit,
    RoundResult,
    Contribute,
    AuditCommit,
    RevealTrace,
    RevealAudit,
    RegisterMiner,
    Anchor,
)
choices = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 7), st.integers(0, 40)), max_size=3)
scripts = st.lists(choices, min_size=10, max_size=70)


def say(world: LedgerWorld, what: int, who: int, number: int) -> bytes | None:
    """Turn three numbers into something that somebody says, sensible or not."""
    nodes: tuple[KeyPair, ...] = (*world.validators, *world.miners, world.client)
    sender = nodes[who]
    tasks = (*world.state.chain().tasks, *world.state.chain().unsettled)
    own = account_of(sender.node_id)
    other = account_of(nodes[number % 8].node_id)
    match what:
        case 0 | 1:
            return world.paid(sender, Transfer(other, Amount(number * POT)), fee=number)
        case 2:
            return world.paid(sender, Bond(other, Amount(number * POT)), fee=1)
        case 3:
            return world.paid(sender, Unbond(Amount(number * POT)))
        case 4 | 5:
            budget = Amount((number + 1) * POT + number)
            return world.paid(
                world.client, SubmitTask(sha256(b"%d" % number), budget, RULES), fee=number
            )
        case 6 if tasks:
            return world.paid(world.client, CancelTask(tasks[number % len(tasks)]))
        case 7 if tasks:
            place = (tasks[number % len(tasks)], number % 3, ShardIndex(number % 6))
            return world.free(sender, AuditCommit(*place, sha256(b"x")))
        case 8:
            return world.free(sender, Anchor(Epoch(number % 5), sha256(own)))
        case 9 if tasks:
            shown = result_of(tasks[-1], b"r", loss=number, round_=number % 3, flagged=b"\x03")
            bound = commit_to(sender.node_id, shown)
            return world.free(sender, shown if number % 2 else bound)
        case _:
            return None


# A script that fails is shown as it was found: to shrink one takes minutes.
@settings(
    max_examples=15,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow],
)
@given(scripts, st.integers(0, 9), st.sampled_from([1, 300_000, 1_000_000]))
def test_no_script_breaks_the_books(
    script: list[list[tuple[int, int, int]]], mood: int, rate: int
) -> None:
    world = build_world(change=with_audits(rate))
    # Who says what is a hash of the statement and the mood: liars, sleepers and honest at random.
    world.silent = lambda node, action: (
        isinstance(action, MUTABLE)
        and sha256(node + bytes([mood, action.KIND, world.height % 7]))[0] < 12 * mood
    )
    world.measure = lambda auditor, lease: (
        FORGED if lease.miner == world.miners[0].node_id else NEAR if auditor[5] < mood else HONEST
    )
    for block, words in enumerate(script):
        said = [say(world, *each) for each in words]
        view = 1 if block % 9 == mood else 0
        ranking = world.ledger.prospects(world.parent).ranking
        ranks = (RANK_NONE, *(Rank(each) for each in range(len(ranking))))
        world.block(
            *world.duties(),
            *(each for each in said if each is not None),
            strict=False,
            view=view,
            rank=ranks[block % len(ranks)],
        )
    # `LedgerWorld` balanced the books after every block; the last word is that tasks end.
    world.silent = lambda _node, _action: False
    for task in world.state.chain().tasks:
        if not world.state.task(task).cancelled:
            world.block(world.paid(world.client, CancelTask(task)))
    world.run_until(lambda: not world.state.chain().tasks and not world.state.chain().unsettled)
    assert sum(world.held.values()) == world.state.chain().supply


def test_books_would_not_balance_if_a_payment_were_lost() -> None:
    world = build_world()
    world.run(2)
    task = world.submit()
    key = next(key for key in world.held if key == b"\x03" + task)
    assert world.held[key] == world.task(task).escrow
    assert decode_transaction(world.paid(world.client, CancelTask(task))).body.nonce == 1
