"""The document at the end of a run."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from potp2p.devnet.layout import Layout
from potp2p.devnet.plan import Plan
from potp2p.devnet.progress import Progress
from potp2p.processes.documents import Document
from potp2p.protocol.crypto.identity import KeyPair


@dataclass(frozen=True, slots=True)
class Findings:
    """What the processes answered when all was done."""

    height: int
    roots: dict[str, str]
    """Node name to state root at that height."""
    model: Document
    measured: Document
    money: Document
    certificates: Document
    seconds: float
    """From the first process to the fetched model."""


def report_document(plan: Plan, layout: Layout, progress: Progress, findings: Findings) -> Document:
    """Gather what was measured; every number comes from a process that was asked."""
    return {
        "schema": "potp2p.devnet/1",
        "example": plan.example,
        "mode": plan.mode,
        "seed": plan.seed,
        "task": progress.task,
        "height": findings.height,
        "state_roots": findings.roots,
        "roots_agree": len(set(findings.roots.values())) == 1,
        "rounds": progress.round,
        "test_accuracy": findings.measured.get("accuracy"),
        "test_loss": findings.measured.get("loss"),
        "evaluation_loss": progress.losses,
        "checkpoint": findings.model.get("checkpoint"),
        "weights_sha256": _sha256(plan.out / "model.safetensors"),
        "certificates": findings.certificates.get("certificates"),
        "rewards": _rewards(layout, findings.money),
        "supply": {name: findings.money.get(name) for name in ("expected", "actual")},
        "seconds": round(findings.seconds, 1),
        "out": str(plan.out),
        "nodes": _nodes(plan, layout, progress),
    }


def idle_document(plan: Plan, layout: Layout, progress: Progress, bootstrap: Document) -> Document:
    """Tell where a network without a task is, so that others may join or use it."""
    return {
        "schema": "potp2p.devnet-idle/1",
        "bootstrap": bootstrap,
        "genesis": str(layout.genesis),
        "client": str(layout.client.folder),
        "nodes": _nodes(plan, layout, progress),
    }


def _nodes(plan: Plan, layout: Layout, progress: Progress) -> list[Document]:
    return [
        {
            "name": member.name,
            "role": str(member.role),
            "adversary": None if member.kind is None else str(member.kind),
            "address": member.keys.address,
            "datadir": str(member.folder),
            "pid": progress.nodes[member.name].pid,
            "exit_code": progress.nodes[member.name].exit_code,
            "restart": f"{plan.programs.display} start --datadir {member.folder}",
        }
        for member in layout.members
    ]


def summary(document: Document) -> list[str]:
    """Return the report in a few lines."""
    accuracy, losses = document["test_accuracy"], cast("list[float]", document["evaluation_loss"])
    supply = cast("Document", document["supply"])
    certificates = cast("list[Document]", document["certificates"] or [])
    verified = sum(1 for each in certificates if each.get("verified") is True)
    agree = "agree" if document["roots_agree"] else "DIFFER"
    right = "as expected" if supply["expected"] == supply["actual"] else "NOT as expected"
    lines = [
        f"rounds         {document['rounds']}   evaluation loss "
        + (f"{losses[0]:.4f} -> {losses[-1]:.4f}" if losses else "--"),
        f"test accuracy  {accuracy:.4f}" if isinstance(accuracy, float) else "test accuracy  --",
        f"chain          height {document['height']}, state roots {agree}, "
        f"{verified}/{len(certificates)} certificates verified",
        f"supply         {supply['actual']} POT, {right}",
    ]
    rewards = cast("dict[str, Document]", document["rewards"])
    lines += [f"{name:<14} gained {row['earned']} POT" for name, row in rewards.items()]
    lines.append(f"model          {document['out']}   after {document['seconds']} s")
    return lines


def _rewards(layout: Layout, money: Document) -> Document:
    """Return each account's gain since genesis, by name."""
    gains = cast("dict[str, str]", money.get("gains") or {})

    def row(keys: KeyPair) -> Document:
        return {"address": keys.address, "earned": gains.get(keys.address)}

    named = {each.name: row(each.keys) for each in (*layout.members, *layout.purses)}
    known = {each["address"] for each in named.values()} | {
        keys.address for keys in (layout.sponsor, layout.client.keys)
    }
    others = {address: gain for address, gain in gains.items() if address not in known}
    return {
        **named,
        **{address: {"address": address, "earned": gain} for address, gain in others.items()},
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
