"""`potp2p bench`: the figures of this release, measured on this machine by real processes."""

from pathlib import Path
from typing import Annotated

import typer

from cli.options import Json

application = typer.Typer(
    help="Measure real processes on this machine; exit 1 when a figure misses its target.",
    no_args_is_help=True,
)

Validators = Annotated[int, typer.Option("--validators", help="Nodes that vote.")]
Miners = Annotated[int, typer.Option("--miners", help="Nodes that train.")]
Seed = Annotated[int, typer.Option("--seed", help="Fixes keys, package and training.")]
BlockMilliseconds = Annotated[
    int, typer.Option("--block-milliseconds", help="Deadlines count blocks; slow machines.")
]


@application.command("footprint")
def footprint(
    seconds: Annotated[int, typer.Option("--seconds", help="Length of the window.")] = 60,
    validators: Validators = 4,
    miners: Annotated[int, typer.Option("--miners", help="Nodes with nothing to train.")] = 1,
    json_output: Json = False,
) -> int:
    """Measure memory and processor time of idle nodes without their workers."""
    from cli.work.bench import show_footprint

    return show_footprint(seconds, validators, miners, json_output=json_output)


@application.command("memory")
def memory(
    validators: Validators = 4,
    miners: Miners = 3,
    json_output: Json = False,
) -> int:
    """Measure the summed memory of a network that trains the digits."""
    from cli.work.bench import show_memory

    return show_memory(validators, miners, json_output=json_output)


@application.command("modes")
def modes(
    rounds: Annotated[int, typer.Option("--rounds", help="Rounds of each run.")] = 20,
    seed: Seed = 1,
    json_output: Json = False,
) -> int:
    """Compare gradient mode with 3 and 2 miners against one central process."""
    from cli.work.bench import show_modes

    return show_modes(rounds, seed, json_output=json_output)


@application.command("consensus")
def consensus(
    validators: Validators = 4,
    transactions_per_block: Annotated[
        int, typer.Option("--transactions-per-block", help="At most; 0 measures empty blocks.")
    ] = 100,
    seconds: Annotated[int, typer.Option("--seconds", help="Length of the window.")] = 20,
    dead: Annotated[int, typer.Option("--dead", help="Validators that die before it.")] = 0,
    rate: Annotated[
        int, typer.Option("--rate", help="Transactions a second, open loop; 0 saturates.")
    ] = 0,
    latency_milliseconds: Annotated[
        int, typer.Option("--latency-milliseconds", help="Emulated, one way, between nodes.")
    ] = 0,
    bandwidth_megabits: Annotated[
        int, typer.Option("--bandwidth-megabits", help="Emulated uplink of a node; 0: no bound.")
    ] = 0,
    lose_primary: Annotated[
        bool, typer.Option("--lose-primary", help="Kill the primary: the longest gap it leaves.")
    ] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Kill and start a validator: until its vote counts.")
    ] = False,
    json_output: Json = False,
) -> int:
    """Measure finality and throughput of real validators at an interval of zero."""
    from cli.work.bench import ConsensusFlags, show_consensus

    flags = ConsensusFlags(
        validators,
        transactions_per_block,
        seconds,
        dead,
        rate,
        latency_milliseconds,
        bandwidth_megabits,
        lose_primary,
        restart,
    )
    return show_consensus(flags, json_output=json_output)


@application.command("sync")
def sync(
    blocks: Annotated[int, typer.Option("--blocks", help="Length of the chain.")] = 1_000,
    transactions_per_block: Annotated[
        int, typer.Option("--transactions-per-block", help="Transfers in every block.")
    ] = 100,
    peers: Annotated[int, typer.Option("--peers", help="Nodes that serve the chain.")] = 2,
    as_validator: Annotated[
        bool, typer.Option("--as-validator", help="The newcomer holds a seat.")
    ] = False,
    json_output: Json = False,
) -> int:
    """Measure how fast a new node fetches, checks, executes and stores a chain."""
    from cli.work.bench import show_sync

    return show_sync(
        blocks, transactions_per_block, peers, as_validator=as_validator, json_output=json_output
    )


@application.command("crashes")
def crashes(
    kills: Annotated[int, typer.Option("--kills", help="How often one is killed.")] = 50,
    validators: Validators = 4,
    seed: Annotated[int, typer.Option("--seed", help="Fixes who dies and when.")] = 1,
    json_output: Json = False,
) -> int:
    """Kill validators by SIGKILL under load; look for damage, double signatures and losses."""
    from cli.work.bench import show_crashes

    return show_crashes(kills, validators, seed, json_output=json_output)


@application.command("replay")
def replay(
    task: Annotated[
        list[str] | None,
        typer.Option("--task", help="Package folder or recipe, repeatable; none: all recipes."),
    ] = None,
    replays: Annotated[int, typer.Option("--replays", help="Of each task, at least.")] = 60,
    cheats: Annotated[bool, typer.Option("--cheats", help="Measure cheats beside.")] = False,
    seed: Annotated[int, typer.Option("--seed", help="Fixes packages and weights.")] = 1,
    json_output: Json = False,
) -> int:
    """
    Measure how far honest replays lie apart on this machine's devices, against each class.

    Exit 1 when an honest replay would be rejected or comes within half of a tolerance, or when an
    auditor's own replays drift apart: then this machine cannot mine that class safely.
    """
    from cli.work.bench import show_replay

    return show_replay(tuple(task or ()), replays, seed, cheats=cheats, json_output=json_output)


@application.command("resnet")
def resnet(
    rounds: Annotated[
        int, typer.Option("--rounds", help="Of 10 segments; 100 process each ten times.")
    ] = 3,
    validators: Validators = 4,
    miners: Miners = 2,
    block_milliseconds: BlockMilliseconds = 4_000,
    watts_per_core: Annotated[
        float, typer.Option("--watts-per-core", help="For the energy estimate.")
    ] = 10.0,
    seed: Seed = 1,
    json_output: Json = False,
) -> int:
    """
    Train the published test case, a ResNet-50 in 100 segments, on a network of real processes.

    Takes minutes a round on two cores, 14 GB of memory with the default nodes, and up to 2.5 GB of
    disk for each of them.
    """
    from cli.work.bench import show_resnet
    from potp2p.benchmarks.resnet import ResnetFlags

    flags = ResnetFlags(rounds, validators, miners, block_milliseconds, watts_per_core, seed)
    return show_resnet(flags, json_output=json_output)


@application.command("rounds")
def rounds(
    rounds: Annotated[
        int,
        typer.Option("--rounds", help="Some 20 s each; of fewer, dearer ones most are audited."),
    ] = 120,
    validators: Validators = 1,
    miners: Annotated[
        int, typer.Option("--miners", help="Nodes that train: fewer than this machine has cores.")
    ] = 1,
    block_milliseconds: BlockMilliseconds = 1_000,
    seed: Seed = 1,
    json_output: Json = False,
) -> int:
    """
    Measure real rounds with and without an audit's replay under way, on one network.

    Exit 1 when a replay makes the median round more than 5 % longer, and when the machine had no
    core to spare for replays or too few rounds came of either kind: then nothing is shown.
    """
    from cli.work.bench import show_rounds
    from potp2p.benchmarks.rounds import RoundsFlags

    flags = RoundsFlags(rounds, validators, miners, block_milliseconds, seed)
    return show_rounds(flags, json_output=json_output)


@application.command("published")
def published(
    seeds: Annotated[int, typer.Option("--seeds", help="Runs of every cell.")] = 3,
    block_interval: Annotated[
        int, typer.Option("--block-interval", help="Milliseconds, with wide blocks.")
    ] = 0,
    block_transactions: Annotated[
        int, typer.Option("--block-transactions", help="What a wide block takes.")
    ] = 10_000,
    mesh_degree: Annotated[
        int, typer.Option("--mesh-degree", help="Neighbours that gossip goes to.")
    ] = 6,
    separate_links: Annotated[
        bool, typer.Option("--separate-links", help="Each connection has the whole rate.")
    ] = False,
    transport: Annotated[
        bool, typer.Option("--transport", help="Charge the library's work for every message too.")
    ] = False,
    json_output: Json = False,
) -> int:
    """Run the set-up of the original Proof of Training code on a virtual clock; ours and theirs."""
    from cli.work.bench import show_published
    from potp2p.benchmarks.published import PublishedPlan

    plan = PublishedPlan(
        seeds=seeds,
        block_interval=block_interval,
        block_transactions=block_transactions,
        mesh_degree=mesh_degree,
        shared_links=not separate_links,
        transport=transport,
    )
    return show_published(plan, json_output=json_output)


@application.command("proof")
def proof(
    quick: Annotated[
        bool, typer.Option("--quick", help="Minutes, not hours: short runs, every kind in them.")
    ] = False,
    kinds: Annotated[
        str | None,
        typer.Option("--kinds", metavar="A,B", help="Adversaries [default: all of them]."),
    ] = None,
    rounds: Annotated[
        int | None,
        typer.Option("--rounds", help="Over which profits count [default: 200; quick: 4]."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Fixes every network.")] = 1,
    resume: Annotated[
        Path | None,
        typer.Option(
            "--resume",
            metavar="FOLDER",
            help="Keep every finished run here, and take those of the same code and plan from it.",
        ),
    ] = None,
    json_output: Json = False,
) -> int:
    """Set cheating miners, auditors and clients on networks that train; show what it brings."""
    from cli.work.bench_proof import show_proof

    return show_proof(
        quick=quick,
        kinds=kinds,
        rounds=rounds,
        seed=seed,
        resume=resume,
        json_output=json_output,
    )
