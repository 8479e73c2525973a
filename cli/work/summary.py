"""A status document in words."""

from typing import cast

from potp2p.ui.format import UNKNOWN, digest, duration

Document = dict[str, object]
OUTCOMES_SHOWN = 5
"""Lines of each kind; `potp2p explain miner` lists all."""
DIGITS_SHOWN = 8
"""Of a task's id: commands take the first ones."""


def is_ready(document: Document) -> bool:
    """Say whether the node is in step with the chain and has a peer."""
    return bool(_part(document, "sync").get("synced")) and bool(_part(document, "p2p").get("peers"))


def status_text(document: Document) -> list[str]:
    """Return a few lines: node, state and why, chain, peers, money, work."""
    node, state, sync = (_part(document, name) for name in ("node", "state", "sync"))
    peers, wallet = _part(document, "p2p"), _part(document, "wallet")
    roles = " ".join(str(role) for role in _items(node.get("roles")))
    up = node.get("uptime_s")
    synced = "synced" if sync.get("synced") else f"of {_word(sync.get('target_height'))}"
    lines = [
        f"node     {_word(node.get('name'))}  {roles}  pid {_word(node.get('pid'))}  "
        f"up {duration(up if isinstance(up, int | float) else None)}",
        f"state    {_word(state.get('code'))}",
        *(f"         {_reason(reason)}" for reason in _items(state.get("blocked_by"))),
        f"chain    height {_word(sync.get('height'))}  {synced}  "
        f"last block {_word(sync.get('last_block_age_s'))} s ago",
        f"peers    {_word(peers.get('peers'))}  ({_word(peers.get('inbound'))} in)",
        f"account  {_word(node.get('address'))}",
        f"balance  {_word(wallet.get('balance'))} {_word(wallet.get('currency'))}  "
        f"(payout {_word(node.get('payout'))})",
    ]
    miner = document.get("miner")
    if isinstance(miner, dict):
        lines += _miner_text(cast("Document", miner))
    if document.get("auditing"):
        lines.append(f"audits   {_word(document.get('auditing'))} replays are asked of this node")
    lines += [_task_text(task) for task in _items(document.get("tasks"))]
    if state.get("message"):
        lines.append(f"!        {_word(state.get('message'))}")
    return lines


def _miner_text(miner: Document) -> list[str]:
    units, earned = _part(miner, "units"), _part(miner, "earned")
    under, ended = _items(miner.get("under_audit")), _items(miner.get("outcomes"))
    return [
        f"work     accepted {_word(units.get('accepted'))}  rejected "
        f"{_word(units.get('rejected'))}  missed {_word(units.get('missed'))}  "
        f"being checked {_word(units.get('in_check'))}",
        f"earned   {_word(earned.get('total'))} {_word(earned.get('currency'))}",
        f"bond     {_word(miner.get('bond'))} of {_word(miner.get('bond_wanted'))} "
        f"{_word(earned.get('currency'))}{_standing(miner)}",
        *(f"audited  {_outcome(line)}" for line in under[-OUTCOMES_SHOWN:]),
        *(f"last     {_outcome(line)}" for line in ended[-OUTCOMES_SHOWN:]),
    ]


def _standing(miner: Document) -> str:
    """Return why a miner gets no lease, or where its pay goes."""
    if miner.get("banned_until") is not None:
        return f"  banned until height {_word(miner.get('banned_until'))}"
    if miner.get("suspended"):
        return "  suspended: a ruling against a contribution is open to a challenge"
    return ""


def _outcome(line: object) -> str:
    fields = cast("Document", line) if isinstance(line, dict) else {}
    # As `potp2p explain contribution` takes it.
    task, *place = _word(fields.get("contribution")).split(":")
    return f"{':'.join((task[:DIGITS_SHOWN], *place))}  {_word(fields.get('reason'))}"


def _task_text(task: object) -> str:
    fields = cast("Document", task) if isinstance(task, dict) else {}
    return (
        f"task     {digest(str(fields.get('task', '')))}  {_word(fields.get('status'))}  "
        f"round {_word(fields.get('round'))}/{_word(fields.get('rounds'))}  "
        f"loss {_word(fields.get('loss'))}"
    )


def _reason(reason: object) -> str:
    fields = cast("Document", reason) if isinstance(reason, dict) else {}
    return f"{_word(fields.get('code'))}: {_word(fields.get('detail'))}"


def _part(document: Document, name: str) -> Document:
    part = document.get(name)
    return cast("Document", part) if isinstance(part, dict) else {}


def _items(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []


def _word(value: object) -> str:
    return UNKNOWN if value is None else str(value)
