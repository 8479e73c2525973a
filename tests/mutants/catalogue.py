"""The bugs: kinds from consensus.md section 11, each where our code could have it."""

from typing import Final

from tests.mutants.judgement import JUDGEMENT
from tests.mutants.planting import Edit, Mutant
from tests.mutants.receipts import EVIDENCE
from tests.mutants.rounds import ROUNDS

CORE: Final = "protocol/consensus/"
MACHINE: Final = "tests/protocol/consensus/test_state_machine.py"
RULES: Final = f"tests/protocol/consensus --ignore={MACHINE}"

MUTANTS: Final = (
    # What two quorums of a height share, and what a view change carries over
    Mutant(
        "view change without prepared certificate",
        "campaign",
        "core:4:400",
        (
            Edit(CORE + "views.py", "    if at.prepared is not None:\n", "    if False:\n"),
            Edit(CORE + "views.py", "certificate=at.prepared)", "certificate=None)"),
        ),
    ),
    Mutant(
        "view change without prepared certificate, by twins",
        "twins",
        "twins:4:400",
        (
            Edit(CORE + "views.py", "    if at.prepared is not None:\n", "    if False:\n"),
            Edit(CORE + "views.py", "certificate=at.prepared)", "certificate=None)"),
        ),
    ),
    Mutant(
        "quorum of f + 1",
        "twins",
        "twins:4:50",
        (
            Edit(
                "foundation/committee.py",
                "return 2 * validators // 3 + 1",
                "return faulty_max(validators) + 1",
            ),
        ),
    ),
    Mutant(
        "quorum of 2f + 1 among five",
        "twins",
        "twins:5:50",
        (
            Edit(
                "foundation/committee.py",
                "return 2 * validators // 3 + 1",
                "return 2 * faulty_max(validators) + 1",
            ),
        ),
    ),
    Mutant(
        "first instead of highest claim",
        "rules",
        RULES,
        (
            Edit(
                CORE + "justification.py",
                "return max(claims, key=lambda claim: claim.view, default=None)",
                "return claims[0] if claims else None",
            ),
            Edit(
                CORE + "justification.py",
                "        if prepared is not None and prepared.view == claim.view and "
                "prepared != claim:\n",
                "        if False:\n",
            ),
        ),
    ),
    Mutant(
        "claim believed without its certificate",
        "rules",
        RULES,
        (
            Edit(
                CORE + "justification.py",
                '        raise PeerError(RejectionReason.BAD_JUSTIFICATION, "claim and certificate '
                'go together")\n',
                "        return\n",
            ),
        ),
    ),
    Mutant(
        "prepared block may be dropped",
        "rules",
        RULES,
        (
            Edit(
                CORE + "justification.py",
                "    if statement.block_hash != claim.block_hash:\n",
                "    if False:\n",
            ),
        ),
    ),
    # Who is counted
    Mutant(
        "one signer fills a proof",
        "rules",
        RULES,
        (
            Edit(
                CORE + "justification.py",
                "signers != sorted(set(signers))",
                "signers != sorted(signers)",
            ),
        ),
    ),
    Mutant(
        "proof of any size",
        "rules",
        RULES,
        (
            Edit(
                CORE + "justification.py",
                "    if len(signers) < Committee(len(facts.validators)).quorum:\n",
                "    if False:\n",
            ),
        ),
    ),
    Mutant(
        "second vote replaces the first",
        "state machine",
        MACHINE,
        (
            Edit(
                CORE + "quorum.py",
                "if known is not None or not self.has_room(view, signer):",
                "if not self.has_room(view, signer):",
            ),
        ),
    ),
    Mutant(
        "certificate of the previous set",
        "rules",
        RULES,
        (
            Edit(
                CORE + "justification.py",
                "(certificate.epoch, certificate.height) != (facts.epoch, facts.height)",
                "certificate.height != facts.height",
            ),
        ),
    ),
    Mutant(
        "view change on another parent",
        "rules",
        RULES,
        (
            Edit(
                CORE + "justification.py",
                "    if statement.head_hash != facts.head_hash:\n",
                "    if False:\n",
            ),
        ),
    ),
    Mutant(
        "proposal of another than the primary",
        "rules",
        RULES,
        (
            Edit(
                CORE + "justification.py",
                "    if statement.signer != facts.primary(statement.view):\n",
                "    if False:\n",
            ),
        ),
    ),
    Mutant(
        "commit counts the bytes of a prepare",
        "rules",
        "tests/protocol/wire/test_consensus.py",
        (
            Edit(
                "protocol/wire/consensus.py",
                "    DOMAIN: ClassVar = COMMIT_DOMAIN\n",
                '    DOMAIN: ClassVar = "potp2p/consensus/prepare/1"\n',
            ),
        ),
    ),
    # Views
    Mutant(
        "view moves backwards",
        "state machine",
        MACHINE,
        (
            Edit(
                CORE + "view_change.py",
                "            if message.statement.view > view\n",
                "            if message.statement.view != view\n",
            ),
            Edit(CORE + "views.py", '    assert view > at.view, "views only rise"\n', ""),
        ),
    ),
    Mutant(
        "one signer is enough to join",
        "rules",
        RULES,
        (
            Edit(
                CORE + "views.py",
                "at.view_changes.view_to_join(at.view, at.weak_quorum)",
                "at.view_changes.view_to_join(at.view, 1)",
            ),
        ),
    ),
    Mutant(
        "joins the highest view",
        "rules",
        RULES,
        (Edit(CORE + "view_change.py", "return min(above) if", "return max(above) if"),),
    ),
    Mutant(
        "acts in a view that was left",
        "state machine",
        MACHINE,
        (Edit(CORE + "views.py", "    at.proposal = None\n", ""),),
    ),
    Mutant(
        "votes of any view make a certificate",
        "campaign",
        "core:4:400",
        (
            Edit(
                CORE + "quorum.py",
                "        votes = self.by_view.get(view, {})\n        return tuple(",
                "        votes = {s: v for each in self.by_view.values() for s, v in "
                "each.items()}\n        return tuple(",
            ),
            Edit(
                CORE + "quorum.py",
                "        return len(self.by_view.get(view, ()))\n",
                "        return 100\n",
            ),
        ),
    ),
    Mutant(
        "who has prepared refuses to change view",
        "campaign",
        "core:4:400",
        (
            Edit(
                CORE + "machine.py",
                "if at.decided is not None or fired.view != at.timer_view:",
                "if at.decided is not None or at.prepared or fired.view != at.timer_view:",
            ),
        ),
    ),
    # Timers, repeats
    Mutant(
        "timer counts view changes to exactly its view",
        "rules",
        RULES + " tests/simulation/core/test_dispersion.py",
        (
            Edit(
                CORE + "view_change.py",
                "                if message.statement.view >= view\n",
                "                if message.statement.view == view\n",
            ),
        ),
    ),
    Mutant(
        "timer of a later view runs at once",
        "rules",
        "tests/simulation/core/test_dispersion.py",
        (
            Edit(
                CORE + "views.py",
                "len(at.view_changes.signers_from(at.view)) >= at.quorum",
                "True",
            ),
        ),
    ),
    Mutant(
        "exponent without a cap",
        "rules",
        RULES,
        (
            Edit(
                CORE + "view_change.py",
                "min(started_before, VIEW_EXPONENT_MAX)",
                "started_before",
            ),
        ),
    ),
    Mutant(
        "nothing is said twice",
        "campaign",
        "core:4:400",
        (
            Edit(
                CORE + "machine.py",
                "                if kind is not Propose or message.statement.view == at.view\n",
                "                if False\n",
            ),
            Edit(
                CORE + "machine.py",
                "                return [Send(sender, frame) for frame in catch_up.answer(at, "
                "status)]\n",
                "                return []\n",
            ),
        ),
    ),
    Mutant(
        "restarted replica says nothing again",
        "rules",
        RULES,
        (
            Edit(
                CORE + "machine.py",
                "        effects += [Broadcast(message) for message in at.own.values()]\n",
                "",
            ),
        ),
    ),
    # Evidence
    Mutant(
        "other signature is an offence",
        "rules",
        RULES,
        (
            Edit(
                CORE + "machine.py",
                "first is None or first.statement == second.statement",
                "first is None or first == second",
            ),
        ),
    ),
    # Authors, refusals, frames
    Mutant(
        "rank is not looked at",
        "rules",
        RULES,
        (
            Edit(
                CORE + "voting.py",
                "at.better_rank is not None and at.verdict.rank > at.better_rank",
                "False",
            ),
        ),
    ),
    Mutant(
        "blocks that leave out what is due are voted for",
        "rules",
        RULES,
        (Edit(CORE + "voting.py", "return is_worse or at.verdict.withholds", "return is_worse"),),
    ),
    Mutant(
        "what is due must be in a full block too",
        "ledger",
        "tests/protocol/ledger/test_block.py",
        (
            Edit(
                "protocol/ledger/batch.py",
                "        if not self._has_room(transaction, encoded):\n            return False\n",
                "",
            ),
        ),
    ),
    Mutant(
        "others are refused before they are told",
        "service",
        "tests/services/test_overdue.py",
        (
            Edit(
                "services/overdue.py",
                "self._older(height, self.blocks, now - REFUSAL_SECONDS_MIN)",
                "self._older(height, 0, now)",
            ),
        ),
    ),
    Mutant(
        "money fills the whole block",
        "ledger",
        "tests/protocol/ledger/test_block.py",
        (
            Edit(
                "protocol/ledger/batch.py",
                "and 2 * (self.paid.transactions + 1) <= self.limits.transactions",
                "",
            ),
        ),
    ),
    Mutant(
        "base fee goes to the primary",
        "ledger",
        "tests/protocol/ledger/test_block.py",
        (
            Edit("protocol/ledger/batch.py", "self.context) - burned", "self.context)"),
            Edit("protocol/ledger/batch.py", "self.burned += burned", "self.burned += 0"),
        ),
    ),
    Mutant(
        "base fee buys lottery weight",
        "ledger",
        "tests/protocol/ledger/test_block.py",
        (
            Edit(
                "protocol/ledger/block.py",
                "burn(state, batch.burned, by_task=False)",
                "burn(state, batch.burned, by_task=True)",
            ),
        ),
    ),
    Mutant(
        "refusal kept after view 2",
        "rules",
        RULES,
        (
            Edit(
                CORE + "voting.py",
                "at.view > REFUSAL_VIEW_MAX or at.proposal.certificate is not None",
                "at.proposal.certificate is not None",
            ),
        ),
    ),
    Mutant(
        "refusal of a prepared block",
        "rules",
        RULES,
        (
            Edit(
                CORE + "voting.py",
                "at.view > REFUSAL_VIEW_MAX or at.proposal.certificate is not None",
                "at.view > REFUSAL_VIEW_MAX",
            ),
        ),
    ),
    Mutant(
        "refusal of a prepared block, by seeds",
        "campaign",
        "core:4:400",
        (
            Edit(
                CORE + "voting.py",
                "at.view > REFUSAL_VIEW_MAX or at.proposal.certificate is not None",
                "False",
            ),
            Edit(
                CORE + "voting.py",
                "    if not is_acceptable(at) or at.has_cast(Commit):\n",
                "    if not is_acceptable(at) or is_refused(at) or at.has_cast(Commit):\n",
            ),
        ),
    ),
    Mutant(
        "frame checked against the primary in office",
        "campaign",
        "core:4:400",
        (
            Edit(
                CORE + "voting.py",
                "framed_by == at.facts.primary(framed_in)",
                "framed_by == at.proposal.statement.signer",
            ),
        ),
    ),
    Mutant(
        "reveal checked against the primary in office",
        "ledger",
        "tests/protocol/ledger/test_epochs.py",
        (
            Edit(
                "protocol/ledger/epochs.py",
                "    anchor = seats[frame.primary].anchor\n",
                "    anchor = seats[primaries(state.chain(), height)[0]].anchor\n",
            ),
        ),
    ),
    Mutant(
        "frame executed at its own height",
        "ledger",
        "tests/protocol/ledger/test_epochs.py tests/protocol/ledger/test_transfers.py",
        (
            Edit(
                "protocol/ledger/block.py",
                "    state.put_chain(replace(chain, pending_tips=Amount(tips - half)))\n",
                "    credit(state, payout_of(state, context.author), Amount(tips - half))\n",
            ),
        ),
    ),
    # What must be durable first
    Mutant(
        "send before sync",
        "service",
        "tests/services/test_consensus.py tests/services/test_consensus_crash.py",
        (
            Edit(
                "services/consensus.py",
                "                await self._memory.sync()\n                self._say(effect)\n",
                "                self._say(effect)\n",
            ),
        ),
    ),
    Mutant(
        "replay skips timers",
        "service",
        "tests/services/test_consensus.py tests/services/test_consensus_crash.py",
        (
            Edit(
                "services/consensus_memory.py",
                "        replica.step(record)\n",
                '        if type(record).__name__ != "TimerFired":\n'
                "            replica.step(record)\n",
            ),
        ),
    ),
    Mutant(
        "guard signs anything",
        "service",
        "tests/services/test_consensus_guard.py",
        (
            Edit(
                "services/consensus_guard.py",
                "if self.last is not None and wanted.place <= self.last.place and wanted != "
                "self.last:",
                "if False:",
            ),
        ),
    ),
    *JUDGEMENT,
    *EVIDENCE,
    *ROUNDS,
)
