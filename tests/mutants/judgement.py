"""Bugs in what rules over work and money: audits, challenges, rulings, pay."""

from typing import Final

from tests.mutants.planting import Edit, Mutant

LEDGER: Final = "protocol/ledger/"
PATHS: Final = "tests/protocol/ledger/test_audit_paths.py"
CHAOS: Final = "tests/protocol/ledger/test_audit_chaos.py"
AUDITS: Final = "tests/protocol/ledger/test_audits.py"
AUDITORS: Final = "tests/protocol/ledger/test_auditors.py"

JUDGEMENT: Final = (
    Mutant(
        "draw over primaries fewer than f + 1",
        "ledger",
        "tests/protocol/ledger/test_draws.py",
        (
            Edit(
                LEDGER + "audits.py",
                "if len(record.revealers) >= weak_quorum(len(state.chain().seats)):",
                "if len(record.revealers) >= 1:",
            ),
        ),
    ),
    Mutant(
        "audits drawn before the screens are known",
        "ledger",
        AUDITS,
        (
            Edit(
                LEDGER + "audits.py",
                "    if is_whole and record.phase is RoundPhase.AUDIT:\n",
                "    if is_whole:\n",
            ),
        ),
    ),
    Mutant(
        "copies that cost nothing",
        "ledger",
        "tests/protocol/ledger/test_results.py",
        (Edit(LEDGER + "audits.py", "    return is_dropped or state", "    return state"),),
    ),
    Mutant(
        "copies paid because their replay passes",
        "ledger",
        "tests/protocol/ledger/test_results.py",
        (
            Edit(
                LEDGER + "rulings.py",
                "(is_dropped or is_banned(state, lease.miner, context.height))",
                "is_banned(state, lease.miner, context.height)",
            ),
        ),
    ),
    Mutant(
        "auditors drawn from bonds of this very block",
        "ledger",
        AUDITORS,
        (
            Edit(
                LEDGER + "auditors.py",
                "        if not out:\n            yield _candidate(row)\n",
                "        if not out:\n"
                "            bond = free_bond(state.account(account_of(row.node)))\n"
                "            yield _candidate(replace(row, weight=Amount(bond)))\n",
            ),
        ),
    ),
    Mutant(
        "auditor that acts for the miner",
        "ledger",
        AUDITS,
        (
            Edit(
                LEDGER + "auditors.py",
                "    excluded = set(self.state.lease(*place).related)\n",
                "    excluded = {account_of(node) for node in before}\n",
            ),
        ),
    ),
    Mutant(
        "absent auditor replaced without end",
        "ledger",
        PATHS,
        (Edit(LEDGER + "audit_phases.py", "    if audit.replaced:\n", "    if False:\n"),),
    ),
    Mutant(
        "absent auditor replaced by itself",
        "ledger",
        PATHS,
        (
            Edit(
                LEDGER + "audit_phases.py",
                "    before = tuple(each.auditor for each in audit.auditors)\n",
                "    before = ()\n",
            ),
        ),
    ),
    Mutant(
        "split decided by the worse verdict",
        "ledger",
        AUDITS,
        (
            Edit(
                LEDGER + "audit_phases.py",
                "    if len(verdicts) != 1:\n",
                "    verdicts = {max(verdicts)}\n    if len(verdicts) != 1:\n",
            ),
        ),
    ),
    Mutant(
        "judges rule by f + 1",
        "ledger",
        PATHS + " " + CHAOS,
        (
            Edit(
                LEDGER + "audit_phases.py",
                "        if count >= quorum(len(audit.judges)):\n",
                "        if count >= 2:\n",
            ),
        ),
    ),
    Mutant(
        "missing trace forgiven",
        "ledger",
        PATHS,
        (
            Edit(
                LEDGER + "audit_phases.py",
                "        return _rule(state, context, place, audit, Verdict.FAIL)\n",
                "        return _rule(state, context, place, audit, Verdict.VOID)\n",
            ),
        ),
    ),
    Mutant(
        "trace taken only while drawn auditors open",
        "ledger",
        PATHS,
        (
            Edit(
                LEDGER + "audits.py",
                "        audit.is_revealing or audit.phase is AuditPhase.COMMIT_ALL,\n",
                "        audit.phase is AuditPhase.REVEAL,\n",
            ),
        ),
    ),
    Mutant(
        "provisional fail slashes at once",
        "ledger",
        PATHS,
        (
            Edit(
                LEDGER + "audit_phases.py",
                "        state.put_miner(account, replace(miner, suspended=miner.suspended + 1))\n",
                "        state.put_miner(account, replace(miner, suspended=miner.suspended + 1))\n"
                "        close_audit(state, context, place, audit, verdict)\n",
            ),
        ),
    ),
    Mutant(
        "suspension without end",
        "ledger",
        PATHS,
        (
            Edit(
                LEDGER + "rulings.py",
                "    state.put_miner(account, replace(miner, suspended=miner.suspended - 1))\n",
                "    state.put_miner(account, miner)\n",
            ),
        ),
    ),
    Mutant(
        "auditors rewarded for a trace that was kept out",
        "ledger",
        PATHS,
        (
            Edit(
                LEDGER + "rulings.py",
                "    if audit.trace is None:\n        return ()\n    found = [\n",
                "    found = [\n        each.auditor for each in audit.auditors if each.report\n"
                "    ] if audit.trace is None else [\n",
            ),
        ),
    ),
    Mutant(
        "liars unpunished",
        "ledger",
        PATHS,
        (
            Edit(
                LEDGER + "rulings.py",
                "    taken = sum(punish_auditor(state, context, node) for node in liars)\n",
                "    taken = 0\n",
            ),
        ),
    ),
    Mutant(
        "void taken for a lie",
        "ledger",
        PATHS + " " + CHAOS,
        (
            Edit(
                LEDGER + "findings.py",
                "    return found is not None and OPPOSITE.get(verdict) is found\n",
                "    return found is not None and verdict is not found\n",
            ),
        ),
    ),
    Mutant(
        "dissent paid",
        "ledger",
        PATHS,
        (
            Edit(
                LEDGER + "rulings.py",
                "    if said is None or said is verdict:\n",
                "    if said is None or OPPOSITE.get(verdict) is not said:\n",
            ),
        ),
    ),
    Mutant(
        "challenge without a stake",
        "ledger",
        PATHS,
        (Edit(LEDGER + "challenges.py", "        free >= stake,\n", "        True,\n"),),
    ),
    Mutant(
        "stake that stays locked",
        "ledger",
        PATHS,
        (
            Edit(
                LEDGER + "challenges.py",
                "replace(record, locked=Amount(record.locked - challenge.stake))",
                "record",
            ),
        ),
    ),
    Mutant(
        "false challenge that costs nothing",
        "ledger",
        PATHS,
        (
            Edit(
                LEDGER + "challenges.py",
                "    if not _is_lost(audit, challenge, verdict):\n",
                "    if True:\n",
            ),
        ),
    ),
    Mutant(
        "accuser that risks nothing where judges find no verdict",
        "ledger",
        PATHS,
        (
            Edit(
                LEDGER + "challenges.py",
                "        return challenge.expects_fail\n",
                "        return False\n",
            ),
        ),
    ),
    Mutant(
        "stake lost where judges found no verdict",
        "ledger",
        PATHS,
        (
            Edit(
                LEDGER + "rulings.py",
                "    audit = settle_challenge(state, place, audit, found)\n",
                "    audit = settle_challenge(state, place, audit, Verdict.PASS)\n",
            ),
        ),
    ),
    Mutant(
        "staked bond that leaves",
        "ledger",
        PATHS,
        (
            Edit(
                LEDGER + "money.py",
                "    free = free_bond(record)\n    if amount > free:\n",
                "    free = record.bond\n    if amount > free:\n",
            ),
        ),
    ),
    Mutant(
        "round settled within its challenge window",
        "ledger",
        "tests/protocol/ledger/test_audits.py",
        (
            Edit(
                LEDGER + "settlement.py",
                "        and height > record.challenge_until\n",
                "        and height > 0\n",
            ),
        ),
    ),
    Mutant(
        "whole slash to the provers",
        "ledger",
        PATHS,
        (
            Edit(
                LEDGER + "convictions.py",
                "    burned = (taken + 1) // BURNED_OF_SLASH\n",
                "    burned = 0\n",
            ),
        ),
    ),
    Mutant(
        "probability that the bond does not lower to what it must be",
        "ledger",
        "tests/protocol/incentives/test_deterrence.py tests/protocol/verification/test_sampling.py",
        (
            Edit(
                "protocol/verification/sampling.py",
                "-(-2 * at_stake * PPM // (at_stake + bond))",
                "at_stake * PPM // (at_stake + bond)",
            ),
        ),
    ),
    Mutant(
        "salt lost, replay anew",
        "service",
        "tests/services/test_auditing.py",
        (
            Edit(
                "services/auditing.py",
                "            await self.notebook.put(draft_name(AUDITS, place), encode(draft))\n",
                "            pass\n",
            ),
        ),
    ),
)
