"""
A worker process without torch that behaves as its first argument says.

`honest` answers every Evaluate with the loss 1 and reports a step first; the others are faults.
A second argument names a file that is written to at every start, so that a test can count them; a
third one, whose appearance ends a replay.
"""

import os
import select
import sys
import time
from pathlib import Path
from typing import NoReturn

from potp2p.foundation.types import MicroNats
from potp2p.protocol.wire import schema
from potp2p.training.commands import Cancel, CommandFrame, Replay
from potp2p.training.frames import FrameBuffer, encode_frame
from potp2p.training.reports import Evaluated, Failed, Progress, Ready, Report, ReportFrame, Unfit


def send(number: int, report: Report) -> None:
    os.write(1, encode_frame(schema.encode(ReportFrame(number, report))))


def answer(behaviour: str, frame: CommandFrame, starts: int) -> None:
    match behaviour:
        case "garbage":
            os.write(1, encode_frame(b"\xff\x00 not a report"))
        case "flood":
            os.write(1, (1 << 31).to_bytes(4, "big") + bytes(1000))
        case "silent":
            time.sleep(3600)
        case "dies":
            os._exit(3)
        case "dies-once" if starts == 1:
            os._exit(3)
        case "other-number":
            send(frame.number + 7, Evaluated(MicroNats(1), None))
        case "fails":
            send(frame.number, Failed("the disk is full"))
        case "slow":
            # Runs until it is cancelled: Cancel is the only other frame it is ever sent.
            send(frame.number, Progress(1, 100, MicroNats(5)))
        case _:
            send(frame.number, Progress(1, 2, MicroNats(5)))
            send(frame.number, Evaluated(MicroNats(starts), None))


def main() -> None:
    behaviour, counted = sys.argv[1], Path(sys.argv[2])
    with counted.open("a") as file:
        file.write("x")
    starts = len(counted.read_text())
    if behaviour == "never-ready":
        sys.stderr.write("worker: arithmetic differs\n")
        sys.exit(1)
    if behaviour == "unfit":
        send(0, Unfit("exact arithmetic differs"))
        sys.exit(1)
    send(0, Ready("cpu", "a fake", 1, "none"))
    if behaviour == "deaf":
        # Never gives up what it was given.
        os.read(0, 1 << 16)
        send(1, Progress(1, 100, MicroNats(5)))
        time.sleep(3600)
    if behaviour in {"replays", "replays-on", "dies-when-cancelled"}:
        replay_until_told(behaviour, starts, Path(sys.argv[3]))
    buffer = FrameBuffer()
    while received := os.read(0, 1 << 16):
        for body in buffer.feed(received):
            frame = schema.decode(CommandFrame, body)
            if isinstance(frame.command, Cancel):
                send(frame.command.number, Failed("cancelled"))
            else:
                answer(behaviour, frame, starts)


def replay_until_told(behaviour: str, starts: int, ending: Path) -> NoReturn:
    """Let a replay run until it is cancelled or a file is there; answer all else at once."""
    buffer, replaying = FrameBuffer(), 0
    while True:
        if not select.select([0], [], [], 0.01)[0]:
            if replaying and ending.exists():
                send(replaying, Evaluated(MicroNats(starts), None))
                replaying = 0
            continue
        received = os.read(0, 1 << 16)
        if not received:
            sys.exit(0)
        for body in buffer.feed(received):
            frame = schema.decode(CommandFrame, body)
            if isinstance(frame.command, Replay):
                replaying = frame.number
                send(replaying, Progress(1, 100, MicroNats(5)))
            elif not isinstance(frame.command, Cancel):
                answer(behaviour, frame, starts)
            elif behaviour == "dies-when-cancelled":
                os._exit(3)
            elif frame.command.number == replaying and behaviour != "replays-on":
                send(replaying, Failed("cancelled"))
                replaying = 0


if __name__ == "__main__":
    main()
