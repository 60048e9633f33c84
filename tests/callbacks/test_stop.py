import signal
import threading

import pytest

from mtl_zoo.callbacks.stop import SIGNALS, Stop


def handlers():
    return [signal.getsignal(signum) for signum in SIGNALS]


@pytest.mark.parametrize(
    ("signum", "error", "code"),
    [(signal.SIGINT, KeyboardInterrupt, "saved"), (signal.SIGTERM, SystemExit, 143)],
)
def test_the_first_signal_waits(capsys, signum, error, code):
    before = handlers()

    def work():
        with Stop() as stop:
            signal.raise_signal(signum)
            assert stop.signum == signum
            stop.leave("saved")

    with pytest.raises(error) as caught:
        work()
    assert caught.value.args == (code,)
    assert capsys.readouterr().err == ("saved\n" if signum == signal.SIGTERM else "")
    assert handlers() == before


def test_the_second_signal_acts_at_once():
    before = handlers()

    def work():
        with Stop():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            raise AssertionError

    with pytest.raises(KeyboardInterrupt):
        work()
    assert handlers() == before


def test_a_signal_that_nothing_came_of_is_sent_again():
    with pytest.raises(KeyboardInterrupt), Stop():
        signal.raise_signal(signal.SIGINT)


def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Stop() as stop:
            signal.raise_signal(signal.SIGINT)
        assert stop.signum is None
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_get_no_signals():
    def enter():
        with Stop() as stop:
            found.append(stop._previous)

    found = []
    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert found == [{}]
