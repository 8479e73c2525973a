"""Every bound the node obeys, with the reason for its value."""

from typing import Final

DIGEST_BYTES: Final = 32
NODE_ID_BYTES: Final = 33
ACCOUNT_BYTES: Final = 20
SIGNATURE_BYTES: Final = 64

VALIDATORS_MAX: Final = 100
"""PBFT sends validators squared votes: 100 at 200 bytes a vote is 2 MB a phase."""

CHUNK_BYTES: Final = 1 << 20
"""Content-addressed unit; py-libp2p's own framing fails above 6.5 MB, gossip above 1 MB."""

MESSAGE_BYTES_MAX: Final = CHUNK_BYTES + (1 << 16)
"""One frame on any stream: a full chunk or block and its envelope."""

GOSSIP_BYTES_MAX: Final = 100 * 1024
"""One gossip message: deliveries above 100 KiB cost 6 ms of CPU and more each."""

CBOR_DEPTH_MAX: Final = 8
"""Deepest legal message: block range, block, header, body, certificate, vote, field."""

TRANSACTION_BYTES_MAX: Final = 16 * 1024
"""Largest is an audit reveal with a full trace."""

BLOCK_BYTES_MAX: Final = 1 << 20
BLOCK_TRANSACTIONS_MAX: Final = 2_000
"""DESIGN section 13."""

BLOB_BYTES_MAX: Final = 1 << 36
"""64 GiB: a 16 billion parameter checkpoint in float32; its manifest stays under 2 MiB."""

MANIFEST_CHUNKS_MAX: Final = BLOB_BYTES_MAX // CHUNK_BYTES

HEIGHT_BOUND: Final = 1 << 48
AMOUNT_BOUND: Final = 1 << 63
VIEW_BOUND: Final = 1 << 32

TRACE_ENTRIES_MIN: Final = 8
"""Fewer could be guessed; DESIGN section 8.3."""
TRACE_ENTRIES_MAX: Final = 512

AUDIT_REPORTS_MAX: Final = 108
"""Reports of 512 entries, 10 KB each, that one record of an audit may hold within a message."""

SHARDS_MAX: Final = 10_000
SHARDS_PER_ROUND_MAX: Final = 1_024
"""D8 exponents down to -32 leave room in int64 for 1,024 contributions."""
ROUNDS_MAX: Final = 1_000_000
TASKS_ACTIVE_MAX: Final = 64
MINERS_MAX: Final = 4_096
CANDIDATES_MAX: Final = 128
"""Nodes that may ask for a seat of one epoch; a higher bond takes the place of the lowest."""
CONVICTIONS_KEPT_MAX: Final = 64
"""Double signatures that one key is punished for: half a bond 64 times over is none."""
EPOCHS_PER_REQUEST_MAX: Final = 64
"""Links between sets of 100 validators take 11 KB each: one reply stays within a frame."""
EVIDENCE_HELD_MAX: Final = 128
"""Proofs of double signatures that one node goes on about: one suffices for each offender."""
EPOCHS_PER_FILE_MAX: Final = 1_024
"""Links that an exported certificate carries: beyond, it is checked from its epoch's keys."""
SEAT_CHANGES_KEPT_MAX: Final = 4_096
"""Changes of seats that a client remembers: years of a public network's epochs."""
EPOCHS_KNOWN_MAX: Final = 1 << 20
"""Epochs that a client remembers: two years of a devnet's, in 8 MiB."""
SETS_KEPT_MAX: Final = 1_024
"""Epochs within the unbonding time: as many past sets of 100 nodes fill 3 MB of state."""
AUTHORS_RANKED: Final = 3

FRAME_BYTES_MAX: Final = 1 << 20
"""One command or report between node and worker; tensors cross as files, never in frames."""

REQUEST_BYTES_MAX: Final = 1 << 18
"""One request on any stream; sixteen of them may be in flight per peer and protocol."""
GOSSIP_INBOX_MAX: Final = 512
"""Messages of one topic waiting for their service: minutes at devnet rates."""
POST_INBOX_MAX: Final = 1_024
"""Posts of one protocol waiting for their service: two phases of votes of the largest committee."""
POST_QUEUE_MAX: Final = 256
"""Posts waiting for one peer: a peer this far behind needs catch-up, not old votes."""
POST_QUEUE_BYTES_MAX: Final = 8 << 20
"""The same in bytes, since a body may be a megabyte."""
INBOX_BYTES_MAX: Final = 32 << 20
"""Bytes of one inbox; so no mix of counts and sizes takes more memory than this."""

TENSOR_HEADER_BYTES_MAX: Final = 16 << 20
"""Header of a tensor file: 65,536 names of 200 bytes each, with room."""
TENSORS_MAX: Final = 1 << 16
TENSOR_RANK_MAX: Final = 8

DATA_BYTES_MAX: Final = 1 << 30
"""One shard or evaluation file: a worker reads it whole."""

CONFIGURATION_BYTES_MAX: Final = 1 << 20
"""config.json of a model: the longest part is a table of label names."""

PARAMETERS_MAX: Final = 1 << 34
"""16 billion: the largest float32 checkpoint that fits BLOB_BYTES_MAX."""

LOCAL_STEPS_MAX: Final = 20
LOCAL_STEPS_RELU_MAX: Final = 5
"""Skipping the last of H steps moves a result by 1/H: more steps could hide inside a tolerance."""

EPSILON_MIN: Final = 1_000_000
"""1e-6 in units of 1e-12: below, rounding noise of zero gradients becomes full steps."""

WORKER_START_SECONDS: Final = 120
"""Importing torch from a cold disk on a loaded machine, and the known-answer check."""
WORKER_STALL_SECONDS: Final = 300
"""Longest silence inside a command: one step of the largest model on the slowest device."""
WORKER_RESTARTS_MAX: Final = 5
WORKER_RESTART_WINDOW_SECONDS: Final = 600
"""More restarts than this within the window mean that the device, not chance, is at fault."""
WORKER_ATTEMPTS_MAX: Final = 3
"""Runs of one command: what ends a worker three times would end it again."""
REPLAY_YIELDS_MAX: Final = 3
"""Times that one replay leaves the device to training: it begins again, and has a deadline too."""
WORKER_GIVE_UP_SECONDS: Final = 15
"""From Cancel to the end of the process: a step of a model worth sharing is far shorter."""
INSPECT_SECONDS: Final = 60.0
"""Half the package deadline of the devnet: two short leases, or the package is not for us."""
WORKER_QUEUE_MAX: Final = 1_024
"""Commands waiting per device: every shard of one full round."""

STATUS_ROOTS_KEPT: Final = 64
"""Roots in a status: half a minute of devnet blocks, so that onlookers find a common height."""
STATUS_OUTCOMES_KEPT: Final = 20
"""Settled contributions in a status: a screen of them; `explain miner` lists more."""
STATUS_UNDER_AUDIT_MAX: Final = 100
"""Contributions under audit in a status: more than one rig has open."""
OUTCOME_HEIGHTS_SEARCHED: Final = 2_000
"""Heights searched for own receipts at a start: two settlements of most rounds, a few ms."""
STATUS_BYTES_MAX: Final = 4 << 20
"""One status document: a full list of tasks and leases, with room."""
STATUS_CONNECTIONS_MAX: Final = 16
"""Readers of the status socket at once: a terminal, a script and a devnet, with room."""
STATUS_WRITE_SECONDS: Final = 2
"""A reader that does not take its document by then is cut off."""
UNIX_PATH_BYTES_MAX: Final = 107
"""Longest path that fits a Unix socket address on Linux, without the closing zero."""
DEVNET_VALIDATORS_MAX: Final = 16
DEVNET_MINERS_MAX: Final = 16
"""Processes of one machine: each validator and miner takes a node and a worker of some 500 MB."""
DEVNET_BLOCK_MILLISECONDS_MIN: Final = 200
"""The devnet's author window, which must fit into the interval."""
DEVNET_BLOCK_MILLISECONDS_MAX: Final = 60_000
"""A person who waits for a first block gives up after a minute."""

assert VALIDATORS_MAX >= 4, "PBFT needs 3f + 1 validators with f at least 1"
assert BLOCK_BYTES_MAX <= MESSAGE_BYTES_MAX
assert CHUNK_BYTES < MESSAGE_BYTES_MAX
assert TRANSACTION_BYTES_MAX < GOSSIP_BYTES_MAX
assert TRACE_ENTRIES_MIN <= TRACE_ENTRIES_MAX
assert SHARDS_PER_ROUND_MAX <= 1_024

MEMPOOL_TRANSACTIONS_MAX: Final = 12_000
"""Six full blocks; what one block takes must be found among them in milliseconds."""
MEMPOOL_BYTES_MAX: Final = 96 << 20
"""A fifth of what a node takes anyway; never reached without thousands of bonds."""
MEMPOOL_PER_SENDER_MAX: Final = 2_048
"""A miner claims every lease of a round at once: as many as a round has, and its reveals."""
MEMPOOL_STALE_BLOCKS: Final = 240
"""Two minutes of devnet blocks: what no author took by then is sent again or forgotten."""

BLOB_PROVIDERS_MAX: Final = 16
"""Peers asked for one blob: more add lookups, not speed."""
BLOB_REQUEST_SECONDS: Final = 30.0
"""One MiB at 0.3 Mbit/s; slower peers are left for better ones."""

PACKAGE_MANIFEST_BYTES_MAX: Final = 1 << 20
"""10,000 shards at about 80 bytes a line."""
PACKAGE_FILE_BYTES_MAX: Final = 1 << 34
PACKAGE_BYTES_MAX: Final = 1 << 36

SAY_AGAIN_BLOCKS: Final = 6
"""A statement that is not on the chain after so many blocks is sent once more."""
SUBMIT_SECONDS: Final = 5.0
SUBMIT_VALIDATORS: Final = 2
"""f+1 validators of a small committee: one of them gossips honestly."""

BLOCK_OVERHEAD_BYTES_MAX: Final = 32 * 1024
"""Header, seal of the largest committee and framing of 2,000 transactions around a block."""
VIEW_EXPONENT_MAX: Final = 8
"""Steps of a view timer's growth; capped before the power is computed (consensus.md 4.1)."""
REBROADCAST_MILLISECONDS: Final = 1_000
STATUS_MILLISECONDS: Final = 2_000
"""While undecided; without these two, lost votes stop a height for ever (consensus.md 4.1)."""
VIEWS_KEPT_MAX: Final = 4
"""Views per signer and phase whose votes are kept: more serve liars only, honest views rise."""
REFUSAL_VIEW_MAX: Final = 2
"""Last view in which a worse body than one heard in time is refused (DESIGN section 4)."""
EARLY_HEIGHTS_MAX: Final = 8
"""Heights above ours whose messages wait for us; who is further behind needs catch-up."""
EARLY_FRAMES_MAX: Final = 64
EARLY_BYTES_MAX: Final = 128 * 1024
"""Per peer: two heights of votes, and a proposal of the largest committee with its proofs."""
UNASKED_BLOCKS_MAX: Final = 2
"""Blocks of one peer kept unasked: its proposal of this height and of the next."""
CONSENSUS_INBOX_MAX: Final = 1_024
"""Events waiting for the replica: two phases of votes of the largest committee."""
CONSENSUS_BATCH_MAX: Final = 64
"""Events that share one journal sync; more would delay the first answer."""
VERIFIED_SIGNATURES_MAX: Final = 4_096
"""Remembered good signatures: a proposal repeats view changes that came alone before."""
NEWS_AT_ONCE_MAX: Final = 64
NEWS_PER_VIEW_MAX: Final = 16
"""Messages of one signer that may enter the journal of a height: four times what honesty needs."""
STATUS_ANSWER_SECONDS: Final = 0.5
"""Least time between two answers to one peer's status: an honest one asks every two seconds."""

assert BLOCK_BYTES_MAX + BLOCK_OVERHEAD_BYTES_MAX < MESSAGE_BYTES_MAX
assert REBROADCAST_MILLISECONDS < STATUS_MILLISECONDS

HELLO_SECONDS: Final = 5.0
"""Between two greetings of a peer; a quiet network costs next to nothing."""
PEERS_REMEMBERED_MAX: Final = 1_024
BLOCKS_REQUEST_SECONDS: Final = 10.0
"""A stalled request goes to another peer after this long (consensus.md section 6)."""

DATABASE_BYTES_FIRST: Final = 1 << 28
"""Address space of a new chain database; it doubles as needed, the file grows with what is kept."""
DATABASE_BYTES_MAX: Final = 1 << 42
"""4 TiB: years of full blocks, and far below what a 64-bit process may map."""
JOURNAL_BYTES_MAX: Final = 64 << 20
"""Between two rewritings that keep only what still matters: never reached by honest means."""
JOURNAL_BYTES_KEPT: Final = 4 << 20
"""A journal file that grew beyond this is cut when it is used again."""
JOURNAL_ENTRY_BYTES_MAX: Final = 2 * BLOCK_BYTES_MAX
"""A proposal with its justification."""
SAFETY_RECORD_BYTES_MAX: Final = 4_096 - 24
"""One slot of a disk page with its header; the last vote takes a few hundred bytes."""
BLOB_QUOTA_BYTES: Final = 32 << 30
"""Disk for data, payloads and checkpoints where the operator says nothing."""
WITHHELD_SECONDS: Final = 2.0
"""How long a request for a payload waits for its claim to stand: four devnet blocks."""
NONCES_AHEAD_MAX: Final = 64
"""Paid statements of one account that may wait behind each other."""
HANDS_AT_ONCE_MAX: Final = 16
"""Statements on their way to validators: a silent one holds up no other statement."""
DOUBT_SECONDS: Final = 15.0
"""A peer that did not serve the height it claimed is asked after all others for so long."""

MANIFEST_REQUEST_SECONDS: Final = 8.0
"""Part of a manifest is small, so a silent peer is left soon; twice what a claim may take."""

assert 2 * WITHHELD_SECONDS < MANIFEST_REQUEST_SECONDS < BLOB_REQUEST_SECONDS

MEMPOOL_PAID_MAX: Final = 4_000
MEMPOOL_PAID_BYTES_MAX: Final = 4 << 20
"""Two full blocks: money must not crowd out training, and only the worst paid wait longer."""
MEMPOOL_PER_UNPROVEN_MAX: Final = 4
"""Paid statements of an account that never had one executed: its first few steps."""
MEMPOOL_STRANGERS_MAX: Final = 256
MEMPOOL_STRANGERS_BYTES_MAX: Final = 1 << 20
"""Registrations, each seconds of hashing: as many as join within a few blocks."""
MEMPOOL_PER_STRANGER_MAX: Final = 8
"""A registration and its correction, or the open reveals of a miner that lost its bond."""
MEMPOOL_OWN_MAX: Final = SHARDS_PER_ROUND_MAX
MEMPOOL_OWN_BYTES_MAX: Final = 8 << 20
"""What a node says itself in a whole round; 512 of the largest reveals."""
MEMPOOL_MEMBERS_MAX: Final = 5_700
MEMPOOL_MEMBERS_BYTES_MAX: Final = 80 << 20
"""Seats and bonded miners: one statement of the largest size of everyone, at the same time."""

assert 2 * MEMPOOL_PAID_MAX <= MEMPOOL_TRANSACTIONS_MAX
assert 2 * MEMPOOL_PAID_BYTES_MAX <= MEMPOOL_BYTES_MAX
assert MEMPOOL_MEMBERS_MAX >= MINERS_MAX + VALIDATORS_MAX
assert MEMPOOL_MEMBERS_BYTES_MAX >= (MINERS_MAX + VALIDATORS_MAX) * TRANSACTION_BYTES_MAX
assert MEMPOOL_PER_SENDER_MAX >= SHARDS_PER_ROUND_MAX
assert (
    MEMPOOL_PAID_MAX + MEMPOOL_STRANGERS_MAX + MEMPOOL_OWN_MAX + MEMPOOL_MEMBERS_MAX
    <= MEMPOOL_TRANSACTIONS_MAX
)
assert (
    MEMPOOL_PAID_BYTES_MAX
    + MEMPOOL_STRANGERS_BYTES_MAX
    + MEMPOOL_OWN_BYTES_MAX
    + MEMPOOL_MEMBERS_BYTES_MAX
    <= MEMPOOL_BYTES_MAX
)

BATCH_BLOCKS_MAX: Final = 64
BATCH_BYTES_MAX: Final = 4 << 20
"""Blocks of catch-up that share one synced transaction: seconds of work, megabytes of writes."""
RANGE_BYTES: Final = 768 * 1024
"""What one request for blocks aims at: below one frame, so that ranges seldom come back short."""
RANGES_ASKED_MAX: Final = 4
RANGES_PER_PEER_MAX: Final = 2
"""Ranges on their way at once: one peer's answer travels while another's is executed."""
BLOCKS_AHEAD_MAX: Final = 256
BLOCKS_AHEAD_BYTES_MAX: Final = 16 << 20
"""Blocks that wait for those below them; what every range on its way may bring comes on top."""
RACE_BLOCKS_MAX: Final = 2
"""This near the tip two peers are asked for the same blocks: one answer is enough."""
HEDGE_SECONDS: Final = 2.0
"""The blocks that all others wait for are asked of a second peer after this long."""
FAR_BEHIND_BLOCKS: Final = 8
"""From here on no vote and no gossip brings what is missing: catch-up begins at once."""

assert RANGE_BYTES < BLOCK_BYTES_MAX

CBOR_WEIGHED_FROM_BYTES: Final = 2 * 1024
"""Messages above this are weighed before they are decoded; what is smaller cannot become much."""
CBOR_DENSITY_FREE_BYTES: Final = 256 * 1024
"""Memory that a message may take whatever its size: 10,000 counts of three bytes, with room."""

JOURNAL_COMPACT_BYTES: Final = 8 << 20
"""A journal of this size is rewritten to what still matters, and again whenever it has doubled."""
CHECKS_KEPT_MAX: Final = 1 << 14
"""Blocks executed at one height: one of each failed view, two days of them at 10 s."""

assert 4 * JOURNAL_COMPACT_BYTES <= JOURNAL_BYTES_MAX

SNAPSHOT_BLOCKS: Final = 100
"""Blocks between two stable checkpoints whose state is kept to be served (consensus.md 6)."""
SNAPSHOTS_KEPT: Final = 3
"""Older ones go, so that whoever began with one has two more intervals to finish."""
SNAPSHOT_CHUNKS_MAX: Final = 1 << 14
"""16 GiB of state; a manifest of their digests still fits one message."""
SNAPSHOT_REST: Final = 20
"""A dump that took so many seconds is followed by this many times as long without one."""
SNAPSHOT_PAUSE_SECONDS: Final = 10.0
"""Least time without one: networks without block interval pass a hundred heights in seconds."""
SNAPSHOTS_BEGUN_MAX: Final = 2
"""Unfinished downloads that are kept: one liar's snapshot does not cost a true one's progress."""
SNAPSHOT_PEERS_MAX: Final = 16
SNAPSHOT_REQUESTS_MAX: Final = 4
SNAPSHOT_REQUEST_SECONDS: Final = 30.0
"""One MiB at 0.3 Mbit/s; slower peers are left for better ones."""
SNAPSHOT_SEARCH_SECONDS: Final = 60.0
"""How long peers are looked for before the start is given up."""
STATE_RECORD_BYTES_MAX: Final = CHUNK_BYTES - 1024

assert SNAPSHOT_CHUNKS_MAX * (DIGEST_BYTES + 2) < MESSAGE_BYTES_MAX

SHORT_ID_BYTES: Final = 6
"""Of a transaction in a sketched block: among 12,000 that wait, one in 10^7 blocks meets a twin."""
SKETCH_BYTES_MIN: Final = 4_096
"""Below it a block travels whole: a message more costs what it would save."""
SKETCH_PATIENCE_SECONDS: Final = 0.5
"""For the missing transactions of a sketch, before others are asked for the whole block."""

BASE_FEE_MAX: Final = 1 << 40
"""Per byte, a thousand POT: no price of the largest transaction leaves the range of amounts."""

assert BASE_FEE_MAX * TRANSACTION_BYTES_MAX < AMOUNT_BOUND

BLOCK_PAID_TRANSACTIONS_MAX: Final = BLOCK_TRANSACTIONS_MAX // 2
"""Half of a block belongs to free transactions (DESIGN section 5)."""

LINGERING_MAX: Final = 128
"""Free statements tried again after a block that left them out: some ten milliseconds of work."""
PRESS_SECONDS_MIN: Final = 0.5
"""Before a statement that is left out is handed to authors and primaries: gossip comes first."""
OWN_REFUSAL_SECONDS_MIN: Final = 1.0
"""Before a primary passes over a body for it: as long again as it was pressed for."""
REFUSAL_SECONDS_MIN: Final = 2.0
"""Before others refuse a primary's block for it: four blocks of the devnet, however fast ours."""
PRESSED_BYTES_MAX: Final = REQUEST_BYTES_MAX // 2
"""Statements handed over again after one block."""

assert PRESS_SECONDS_MIN < OWN_REFUSAL_SECONDS_MIN < REFUSAL_SECONDS_MIN

TASK_SEARCH_HEIGHTS_MAX: Final = 10_000
"""Blocks searched for the order of a task whose id was not given in full: some 150 requests."""
