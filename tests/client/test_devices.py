"""A command takes a device that is there, and says which are when it is named another."""

import pytest

from potp2p.client.devices import open_devices, verify_device
from potp2p.foundation.errors import ConfigurationError
from potp2p.workers.devices import DeviceFacts

FOUND = (DeviceFacts("cuda:0", "one", 1 << 33), DeviceFacts("cpu", "two", 1 << 34))


def test_a_device_that_is_there_is_taken() -> None:
    for each in FOUND:
        verify_device(each.device, FOUND)


@pytest.mark.parametrize("name", ["cuda:9", "cuda", "\u00fc", "", "cpu\n", "--help"])
def test_a_device_that_is_not_there_is_refused_with_those_that_are(name: str) -> None:
    with pytest.raises(ConfigurationError, match="this machine has cuda:0, cpu"):
        verify_device(name, FOUND)


async def test_no_process_is_started_for_a_device_that_is_not_there() -> None:
    lines: list[str] = []
    with pytest.raises(ConfigurationError, match="--device cuda:77: this machine has"):
        async with open_devices(("cuda:77",), lines.append):
            raise AssertionError("opened")
    assert lines == []
