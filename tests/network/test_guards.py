"""What the guards let through and what they keep."""

import pytest
import trio
import trio.testing

from potp2p.network.guards import Contained


async def fail_on_the_way_out() -> None:
    """A task that answers its cancellation with an error, as a closing connection does."""
    try:
        await trio.sleep_forever()
    finally:
        raise OSError("closed while reading")


async def test_cancellation_passes_and_errors_stay() -> None:
    kept = Contained()
    with trio.CancelScope() as scope:
        scope.cancel()
        with kept:
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert kept.error is None


async def test_an_error_beside_a_cancellation_does_not_outlive_it() -> None:
    kept = Contained()
    with trio.CancelScope() as scope, kept:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            nursery.start_soon(fail_on_the_way_out)
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
    assert scope.cancelled_caught
    assert isinstance(kept.error, ExceptionGroup)


def test_an_exit_beside_an_error_goes_on_alone() -> None:
    kept = Contained()
    with pytest.raises(BaseExceptionGroup) as raised, kept:
        raise BaseExceptionGroup("both", [KeyboardInterrupt(), OSError("closed")])
    assert [type(error) for error in raised.value.exceptions] == [KeyboardInterrupt]
    assert isinstance(kept.error, ExceptionGroup)
