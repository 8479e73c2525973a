"""The life of a task: submission, attestation of its package, cancellation, its end and refund."""

from dataclasses import replace
from typing import Final

from potp2p.foundation.committee import weak_quorum
from potp2p.foundation.errors import RejectionReason
from potp2p.foundation.limits import TASKS_ACTIVE_MAX
from potp2p.foundation.types import Amount, BlobId, Height, MicroNats, Round, TaskId
from potp2p.protocol.crypto.identity import account_of
from potp2p.protocol.incentives.rewards import LeasePrice, lease_price
from potp2p.protocol.incentives.scores import is_scorable
from potp2p.protocol.ledger.audit_reach import audit_reach
from potp2p.protocol.ledger.context import BlockContext, Sender, require
from potp2p.protocol.ledger.money import credit, debit
from potp2p.protocol.ledger.records import PackageAttestation, Task, TaskStatus
from potp2p.protocol.ledger.seats import judges_of, require_judge
from potp2p.protocol.ledger.state import State
from potp2p.protocol.scheduling.rules import verify_rules
from potp2p.protocol.wire.blocks import NO_DIGEST
from potp2p.protocol.wire.genesis import Genesis
from potp2p.protocol.wire.tasks import TaskRules
from potp2p.protocol.wire.transactions import AttestPackage, CancelTask, SubmitTask

LOSS_NONE: Final = MicroNats((1 << 40) - 1)
"""Worse than every loss: no result yet."""


def apply_submit_task(
    state: State, sender: Sender, action: SubmitTask, task: TaskId, context: BlockContext
) -> None:
    """Escrow a budget and wait for validators to hold the package; the id is the transaction's."""
    verify_task(action.rules, action.budget, context.genesis)
    chain = state.chain()
    require(
        len(chain.tasks) + len(chain.unsettled) < TASKS_ACTIVE_MAX,
        RejectionReason.RATE,
        "no room for another task",
    )
    debit(state, sender.account, action.budget)
    state.put_task(
        task,
        Task(
            client=sender.node,
            package_root=action.package_root,
            rules=action.rules,
            budget=action.budget,
            escrow=action.budget,
            status=TaskStatus.ATTESTING,
            submitted=context.height,
            attestations=(),
            round=Round(0),
            theta=BlobId(NO_DIGEST),
            best=BlobId(NO_DIGEST),
            best_loss=LOSS_NONE,
            losses=(),
            empty_rounds=0,
            stale_rounds=0,
            cancelled=False,
            open_rounds=(),
            passes=(0,) * action.rules.rounds.shards,
            receipts_root=NO_DIGEST,
            paid=Amount(0),
            audit_pool=Amount(0),
            ended=Height(0),
            waiting=Height(0),
            unstable=0,
        ),
    )
    state.put_chain(replace(chain, tasks=(*chain.tasks, task)))


def verify_task(rules: TaskRules, budget: int, genesis: Genesis) -> None:
    """Raise PeerError unless this network can train, pay, judge and slash by these rules."""
    verify_rules(rules)
    training, consensus, rounds = genesis.training, genesis.consensus, rules.rounds
    require(
        rules.model.parameters <= training.parameters_max,
        RejectionReason.BAD_TASK,
        f"{rules.model.parameters} parameters, the network takes {training.parameters_max}",
    )
    require(
        payload_bytes(rules) <= training.payload_bytes_per_round,
        RejectionReason.BAD_TASK,
        "payloads of a round exceed the network's cap",
    )
    require(
        is_scorable(rules.model.parameters, samples_of(rules)),
        RejectionReason.BAD_TASK,
        "more work in a lease than a score can hold",
    )
    forced = 2 * consensus.forced_inclusion_blocks
    require(
        rounds.attest_window >= forced,
        RejectionReason.BAD_TASK,
        f"attest window of less than {forced} blocks: too short to look at a payload and say so, "
        "which would have honest claims fined",
    )
    reach = rounds.deadline + rounds.attest_window + rounds.result_deadline
    reach += audit_reach(genesis, rules) + consensus.cycle_blocks * consensus.epoch_cycles
    require(
        reach < genesis.money.unbonding_blocks,
        RejectionReason.BAD_TASK,
        "deadlines so long that a bond could leave before an audit ends",
    )
    require(
        price_of(rules, budget, genesis).miner > 0,
        RejectionReason.BAD_TASK,
        "budget below one unit per lease",
    )


def price_of(rules: TaskRules, budget: int, genesis: Genesis) -> LeasePrice:
    """Return the price of one accepted lease of a task."""
    return lease_price(budget, rules.rounds.rounds * rules.rounds.shards_per_round, genesis.money)


def samples_of(rules: TaskRules) -> int:
    """Return how many samples every contribution covers."""
    return rules.batch.steps * rules.batch.micro_batches * rules.batch.micro_batch


def payload_bytes(rules: TaskRules) -> int:
    """Return about how many payload bytes a round moves: a byte per parameter and lease."""
    return rules.model.parameters * rules.rounds.shards_per_round


def apply_cancel_task(state: State, sender: Sender, action: CancelTask) -> None:
    """Let the client end its task; the round in work is finished and paid."""
    task = state.task(action.task)
    require(task.client == sender.node, RejectionReason.WRONG_SENDER, "another client's task")
    require(not is_over(task), RejectionReason.TOO_LATE, "the task is over")
    require(not task.cancelled, RejectionReason.DUPLICATE, "the task is cancelled")
    state.put_task(action.task, replace(task, cancelled=True))


def apply_attest_package(
    state: State, sender: Sender, action: AttestPackage, context: BlockContext
) -> None:
    """Count a validator's word that it holds a package and could judge it, or that it is unfit."""
    task = state.task(action.task)
    # First: the seats of a task that has run for long are not kept.
    require(task.status is TaskStatus.ATTESTING, RejectionReason.TOO_LATE, "the package is decided")
    require_judge(state, sender, task.submitted, context.genesis)
    require(
        all(each.validator != sender.node for each in task.attestations),
        RejectionReason.DUPLICATE,
        "the package was attested by this validator",
    )
    attestation = PackageAttestation(sender.node, action.fits)
    state.put_task(action.task, replace(task, attestations=(*task.attestations, attestation)))


def decide_package(state: State, context: BlockContext, task_id: TaskId) -> None:
    """At a block's end: start, refuse, expire or cancel a task that waits for its package."""
    task = state.task(task_id)
    enough = weak_quorum(len(judges_of(state, task.submitted, context.genesis)))
    fits = sum(each.fits for each in task.attestations)
    if task.cancelled:
        end_task(state, context, task_id, TaskStatus.CANCELLED)
    elif len(task.attestations) - fits >= enough:
        end_task(state, context, task_id, TaskStatus.REFUSED)
    elif fits >= enough:
        state.put_task(task_id, replace(task, status=TaskStatus.RUNNING))
    elif context.height >= task.submitted + context.genesis.training.package_deadline:
        end_task(state, context, task_id, TaskStatus.EXPIRED)


def is_over(task: Task) -> bool:
    """Tell whether a task takes no further round."""
    return task.status not in (TaskStatus.ATTESTING, TaskStatus.RUNNING)


def end_task(state: State, context: BlockContext, task_id: TaskId, status: TaskStatus) -> None:
    """Close a task to further rounds; money goes back once its open rounds are settled."""
    chain = state.chain()
    state.put_chain(
        replace(
            chain,
            tasks=tuple(each for each in chain.tasks if each != task_id),
            unsettled=(*chain.unsettled, task_id),
        )
    )
    state.put_task(task_id, replace(state.task(task_id), status=status, ended=context.height))
    refund_if_settled(state, task_id)


def refund_if_settled(state: State, task_id: TaskId) -> None:
    """
    Give the unspent budget of an ended task back to its client after its last settlement.

    Its record stays, but for what only a running task needs: ten thousand shards are ten kilobytes
    of everybody's state, for the price of one submission.
    """
    task = state.task(task_id)
    if not is_over(task) or task.open_rounds:
        return
    credit(state, account_of(task.client), task.escrow)
    done = replace(task, escrow=Amount(0), audit_pool=Amount(0), passes=())
    state.put_task(task_id, done)
    chain = state.chain()
    unsettled = tuple(each for each in chain.unsettled if each != task_id)
    state.put_chain(replace(chain, unsettled=unsettled))
