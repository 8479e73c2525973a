"""One run of a local network: start, order, watch, fetch, check, report, end."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

import trio

from potp2p.devnet.client import ClientCommands
from potp2p.devnet.genesis import genesis_document
from potp2p.devnet.layout import (
    BOOTSTRAP,
    Layout,
    Member,
    lay_out,
    write_configuration,
    write_folders,
)
from potp2p.devnet.observing import common_roots, observe
from potp2p.devnet.plan import Plan
from potp2p.devnet.progress import NodeView, Progress
from potp2p.devnet.report import Findings, idle_document, report_document
from potp2p.foundation.errors import OperatingError
from potp2p.processes.documents import Document, document_of, first_line, parse_document
from potp2p.processes.fleet import Child, Fleet
from potp2p.settings.configuration import RoleName
from potp2p.simulation.adversaries.kinds import Kind, Place

START_SECONDS: Final = 120.0
"""Until every node answers: seven Python processes that import a network stack on two cores."""
STALL_SECONDS: Final = 300.0
"""Without a new height and without a new round, nothing will come any more."""
SETTLE_SECONDS: Final = 120.0
"""Until the audits of the last rounds have closed: twice the devnet's audit deadlines."""
LOOK_SECONDS: Final = 0.25
OWN_BUDGET: Final = "1"
"""POT that a client orders from itself for: a hundredth of what the example costs."""
OWN_PRICE_BOUND: Final = "0.05"
"""POT that every other miner asks for a lease then."""

Face = Callable[[Progress], Awaitable[None]]


@dataclass(slots=True)
class Run:
    """The parts of one run."""

    plan: Plan
    layout: Layout
    fleet: Fleet
    progress: Progress
    commands: ClientCommands
    children: dict[str, Child] = field(default_factory=dict[str, Child])
    observing: trio.CancelScope = field(default_factory=trio.CancelScope)
    address: str = ""
    """The bootstrap node's, once it has told it."""

    def say(self, text: str) -> None:
        """Note what happened."""
        self.progress.lines.append((trio.current_time() - self.progress.started_at, text))

    def stage(self, text: str) -> None:
        """Enter the next stage."""
        self.progress.stage = text
        self.say(text)


async def run_devnet(plan: Plan, face: Face) -> Document:
    """Return the report of a run; whatever happens, no process stays."""
    return await _run_network(plan, face, _job)


async def run_idle(
    plan: Plan, face: Face, tell: Callable[[Document], None], *, is_watched: bool
) -> None:
    """
    Keep a network without a task until cancelled; tell where it is once blocks come.

    Unwatched nodes are left alone from then on: nothing asks for their status, so that what they
    use is what they need.
    """

    async def job(run: Run) -> Document:
        await _start_nodes(run)
        run.stage("idle: submit a task, or press Ctrl-C to end")
        if not is_watched:
            run.observing.cancel()
        bootstrap: Document = {"address": run.address, "pid": run.children[BOOTSTRAP].pid}
        tell(idle_document(run.plan, run.layout, run.progress, bootstrap))
        return await trio.sleep_forever()

    await _run_network(plan, face, job)


async def _run_network(
    plan: Plan, face: Face, job: Callable[[Run], Awaitable[Document]]
) -> Document:
    layout = lay_out(plan)
    write_folders(layout, genesis_document(plan, layout))
    fleet = Fleet(layout.logs)
    views = {each.name: NodeView(each.name, str(each.role)) for each in layout.members}
    run = Run(
        plan,
        layout,
        fleet,
        Progress(trio.current_time(), views),
        ClientCommands(fleet, plan.programs, layout.client.folder),
    )
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(face, run.progress)
            nursery.start_soon(_observe, run)
            nursery.start_soon(_watch_children, run)
            report = await job(run)
            nursery.cancel_scope.cancel()
    finally:
        await fleet.stop()
    return report


async def _observe(run: Run) -> None:
    with run.observing:
        await observe(run.layout.members, run.progress)


async def _job(run: Run) -> Document:
    """The main job, step by step."""
    package = run.plan.folder / "package"
    preparing = run.commands.start("prepare", _prepare_arguments(run.plan, str(package)))
    await _start_nodes(run)
    await _prepared(run, preparing)
    run.stage("submitting the task")
    data = ("--datadir", str(run.layout.client.folder))
    submitted = await _submit(run, package, data)
    task = str(submitted["task"])
    run.progress.task = task
    run.stage(f"task {task[:8]} is on the chain and its package with the validators")
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_end_a_stall, run, scope)
            for purse in run.layout.purses:
                nursery.start_soon(_order_from_itself, run, purse, package)
            await run.commands.follow(
                "watch", ("task", "watch", task, *data, "--json"), _taker(run)
            )
            nursery.cancel_scope.cancel()
    if scope.cancelled_caught:
        raise OperatingError(f"nothing happened for {STALL_SECONDS:.0f} s; see {run.layout.logs}")
    run.stage("fetching the model")
    model = await run.commands.run(
        "fetch", ("task", "fetch", task, *data, "--out", str(run.plan.out), "--json")
    )
    seconds = trio.current_time() - run.progress.started_at
    run.stage(f"model fetched into {run.plan.out} after {seconds:.0f} s; checking")
    return await _check(run, task, model, seconds)


async def _submit(run: Run, package: Path, data: tuple[str, ...]) -> Document:
    """Place the order, as a person would, or as a client does that hides its data."""
    if not any(kind is Kind.DATA_WITHHOLDING_CLIENT for kind, _ in run.plan.adversaries):
        arguments = ("task", "submit", str(package), *data, "--yes", "--json")
        return await run.commands.run("submit", arguments)
    command = (*run.plan.programs.cheating_client, str(run.layout.client.folder), str(package))
    child = run.fleet.start("cheating-client", command)
    if await child.ended() != 0:
        raise OperatingError(f"cheating client: {child.last_words()}")
    return document_of(child)


async def _order_from_itself(run: Run, purse: Member, package: Path) -> None:
    """Place one order after another that only the client's own miner takes."""
    commands = ClientCommands(run.fleet, run.plan.programs, purse.folder, purse.name)
    data = ("--datadir", str(purse.folder))
    arguments = ("task", "submit", str(package), *data, "--budget", OWN_BUDGET, "--yes", "--json")
    while True:
        ordered = await commands.run("order", arguments)
        run.say(f"{purse.name} has ordered from itself")
        watched = ("task", "watch", str(ordered["task"]), *data, "--json")
        await commands.follow("own", watched, lambda _document: None)


async def _check(run: Run, task: str, model: Document, seconds: float) -> Document:
    """Measure the model and compare what the nodes and the chain say."""
    data = ("--datadir", str(run.layout.client.folder))
    evaluating = run.fleet.start("evaluate", _evaluate_command(run.plan))
    money = await _settled(run, task, data)
    certificates = await run.commands.run("certificates", ("certificate", "list", *data, "--json"))
    code = await evaluating.ended()
    if code != 0:
        raise OperatingError(f"evaluation: {evaluating.last_words()}")
    measured = document_of(evaluating)
    height, roots = await _roots(run)
    findings = Findings(height, roots, model, measured, money, certificates, seconds)
    return report_document(run.plan, run.layout, run.progress, findings)


async def _start_nodes(run: Run) -> None:
    """Start the bootstrap node, then everybody with its address, and wait until blocks come."""
    run.stage("starting the bootstrap node")
    folder = run.layout.folder / BOOTSTRAP
    command = (*run.plan.programs.bootstrap, "--listen", "/ip4/127.0.0.1/tcp/0")
    command += ("--data-dir", str(folder), "--genesis", str(run.layout.genesis), "--json")
    bootstrap = run.fleet.start(BOOTSTRAP, command)
    run.children[BOOTSTRAP] = bootstrap
    told = parse_document((await first_line(bootstrap, START_SECONDS)).encode(), BOOTSTRAP)
    addresses = told.get("listen")
    if not isinstance(addresses, list) or not addresses:
        raise OperatingError("the bootstrap node told no address")
    run.address = str(addresses[0])
    run.say(f"bootstrap address {run.address}")
    write_configuration(run.layout.client, run.address)
    for purse in run.layout.purses:
        write_configuration(purse, run.address)
    for member in run.layout.members:
        write_configuration(member, run.address, _least_pay(run.layout, member))
        _start_node(run, member)
    run.stage("waiting for the first block")
    with trio.move_on_after(START_SECONDS):
        while True:
            if all(view.height for view in run.progress.nodes.values() if view.pid):
                return
            await trio.sleep(LOOK_SECONDS)
    silent = [view.name for view in run.progress.nodes.values() if not view.height]
    raise OperatingError(f"no block from {', '.join(silent)} within {START_SECONDS:.0f} s")


def _least_pay(layout: Layout, member: Member) -> str:
    """Return what a miner asks for a lease: more than a client that deals with itself offers."""
    is_wanted = not layout.purses or member.kind is Kind.SELF_DEALING_CLIENT
    return "0" if is_wanted else OWN_PRICE_BOUND


def _node_command(run: Run, member: Member) -> tuple[str, ...]:
    programs = run.plan.programs
    if member.kind is None:
        return (*programs.potp2p, "start", "--datadir", str(member.folder), "--ui", "plain")
    league = run.layout.folder / "leagues" / f"{member.kind}-{member.league}"
    place = Place.SEAT if member.role is RoleName.VALIDATOR else Place.MINER
    return (*programs.cheat, member.kind, place, str(member.folder), str(league))


def _start_node(run: Run, member: Member) -> None:
    child = run.fleet.start(member.name, _node_command(run, member))
    run.children[member.name] = child
    run.progress.nodes[member.name].pid = child.pid
    if member.kind is not None:
        run.say(f"{member.name} runs as pid {child.pid} and cheats: {member.kind}")
        return
    run.say(
        f"{member.name} runs as pid {child.pid}; by hand: "
        f"{run.plan.programs.display} start --datadir {member.folder}"
    )


async def _watch_children(run: Run) -> None:
    """Say when a node ends that nobody ended here; the network goes on without it."""
    while True:
        for name, child in list(run.children.items()):
            code = child.returncode
            if code is None:
                continue
            del run.children[name]
            if code < 0:
                # Somebody else's doing: its own last words would explain nothing.
                run.say(f"{name} was killed by signal {-code}; the network goes on without it")
            else:
                run.say(f"{name} ended with code {code}: {child.last_words()}")
            if name in run.progress.nodes:
                run.progress.nodes[name].pid = None
                run.progress.nodes[name].exit_code = code
        await trio.sleep(LOOK_SECONDS)


async def _prepared(run: Run, child: Child) -> None:
    run.progress.stage = "preparing the package"
    code = await child.ended()
    run.fleet.forget(child)
    if code != 0:
        raise OperatingError(f"prepare: {child.last_words()}")
    package = document_of(child)
    run.say(
        f"package: {package.get('architecture')}, {package.get('parameters')} parameters, "
        f"{package.get('shards')} shards, {package.get('rounds')} rounds"
    )
    rounds = package.get("rounds")
    run.progress.rounds = rounds if isinstance(rounds, int) else None


def _taker(run: Run) -> Callable[[Document], None]:
    """Return what takes in the lines of `task watch --json`."""

    def take(document: Document) -> None:
        progress = run.progress
        progress.task_status = str(document.get("status"))
        progress.stage = f"training ({progress.task_status})"
        progress.escrow = str(document.get("escrow"))
        rounds = document.get("round")
        losses = document.get("losses")
        if isinstance(losses, list):
            progress.losses = [float(cast("float", loss)) for loss in losses]
        if isinstance(rounds, int) and rounds != progress.round:
            progress.round = rounds
            loss = f"{progress.losses[-1]:.4f}" if progress.losses else "--"
            run.say(
                f"round {rounds}/{progress.rounds or '--'}  evaluation loss {loss}  "
                f"height {document.get('height')}"
            )

    return take


async def _end_a_stall(run: Run, scope: trio.CancelScope) -> None:
    """Cancel when neither height nor round has moved for too long."""
    last = (run.progress.height, run.progress.round)
    due = trio.current_time() + STALL_SECONDS
    while trio.current_time() < due:
        await trio.sleep(LOOK_SECONDS)
        now = (run.progress.height, run.progress.round)
        if now != last and now[0] is not None:
            last, due = now, trio.current_time() + STALL_SECONDS
    scope.cancel()


async def _settled(run: Run, task: str, data: tuple[str, ...]) -> Document:
    """Return the money of the chain once the task's rounds are paid, or as it stands then."""
    due = trio.current_time() + SETTLE_SECONDS
    while True:
        money = await run.commands.run("money", ("chain", "money", *data, "--json"))
        open_tasks = money.get("unsettled")
        if not isinstance(open_tasks, list) or task not in open_tasks:
            return money
        if trio.current_time() > due:
            run.say("some rounds are still under audit; reporting as it stands")
            return money
        run.progress.stage = "waiting for the last audits and payments"
        await trio.sleep(1.0)


async def _roots(run: Run) -> tuple[int, dict[str, str]]:
    """Return the roots of all nodes that run, at one height that all have told."""
    with trio.move_on_after(START_SECONDS):
        while True:
            # Whoever answers counts, a node that its owner restarted by hand included.
            views = run.progress.nodes.values()
            answering = [view for view in views if view.height is not None]
            is_heard = all(view.height is not None for view in views if view.pid is not None)
            found = common_roots(answering)
            if found is not None and is_heard:
                return found
            await trio.sleep(LOOK_SECONDS)
    raise OperatingError("the nodes that run share no recent height")


def _prepare_arguments(plan: Plan, folder: str) -> tuple[str, ...]:
    arguments = ["task", "prepare", "--example", plan.example, "--mode", plan.mode]
    arguments += ["--seed", str(plan.seed or 0), "--out", folder, "--json"]
    if plan.rounds is not None:
        arguments += ["--rounds", str(plan.rounds)]
    if plan.text_dir is not None:
        arguments += ["--text-dir", str(plan.text_dir)]
    return tuple(arguments)


def _evaluate_command(plan: Plan) -> tuple[str, ...]:
    package = plan.folder / "package"
    return (*plan.programs.evaluate, "--model", str(plan.out), "--package", str(package))
