"""The worker processes, one per device."""

from rich.text import Text

from potp2p.observability.status import DeviceStatus
from potp2p.ui import format as show
from potp2p.ui.cells import Glyphs, line


def render(
    devices: tuple[DeviceStatus, ...], width: int, rows_max: int, glyphs: Glyphs
) -> list[Text]:
    """Draw a heading, as many devices as fit, and the total of their rates."""
    if not devices:
        return [line(width, glyphs, (" no worker process runs here", "dim"))]
    wide = max(0, width - 80)
    heading = _row(
        width, glyphs, wide, "device", "name", "memory", "pid", "state", "step/s", "step"
    )
    lines = [Text.assemble((heading.plain, "dim"), no_wrap=True, end="")]
    rows = max(1, rows_max - 2)
    shown = devices if len(devices) <= rows else devices[: max(1, rows - 1)]
    lines += [_device(device, width, glyphs, wide) for device in shown]
    if len(shown) < len(devices):
        lines.append(line(width, glyphs, (f" and {len(devices) - len(shown)} more", "dim")))
    rates = [device.steps_per_second for device in devices]
    known = [each for each in rates if each is not None]
    total = show.rate(sum(known) if len(known) == len(rates) else None)
    lines.append(_row(width, glyphs, wide, "total", "", "", "", "", total, ""))
    return lines[: max(rows_max, 1)]


def _device(device: DeviceStatus, width: int, glyphs: Glyphs, wide: int) -> Text:
    steps = (
        show.UNKNOWN
        if device.step is None
        else f"{show.count(device.step)}/{show.count(device.steps)}"
    )
    state = device.state if device.busy is None else device.busy
    if device.restarts:
        state = f"{state} ({device.restarts} restarts)"
    return _row(
        width,
        glyphs,
        wide,
        device.device,
        device.name or show.UNKNOWN,
        show.size(device.memory_bytes),
        show.UNKNOWN if device.pid is None else str(device.pid),
        state,
        show.rate(device.steps_per_second),
        steps,
    )


def _row(width: int, glyphs: Glyphs, wide: int, *cells: str) -> Text:
    device, name, memory, pid, state, rate, step = cells
    name_cells, state_cells = 16 + wide // 2, 11 + wide // 4
    return line(
        width,
        glyphs,
        f" {device[:8]:<8} {name[:name_cells]:<{name_cells}} {memory:>10} {pid:>8} "
        f"{state[:state_cells]:<{state_cells}} {rate:>8} {step:>12}",
    )
