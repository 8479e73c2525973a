"""A status document in words."""

from typing import cast

from potp2p.ui.format import UNKNOWN, digest, duration

Document = dict[str, object]


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
    lines += [_task_text(task) for task in _items(document.get("tasks"))]
    if state.get("message"):
        lines.append(f"!        {_word(state.get('message'))}")
    return lines


def _miner_text(miner: Document) -> list[str]:
    units, earned = _part(miner, "units"), _part(miner, "earned")
    return [
        f"work     accepted {_word(units.get('accepted'))}  rejected "
        f"{_word(units.get('rejected'))}  missed {_word(units.get('missed'))}  "
        f"being checked {_word(units.get('in_check'))}",
        f"earned   {_word(earned.get('total'))} {_word(earned.get('currency'))}",
    ]


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
