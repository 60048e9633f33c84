import signal

import pytest

USUAL = {signal.SIGTERM: signal.SIG_DFL, signal.SIGINT: signal.default_int_handler}


@pytest.fixture(autouse=True)
def _usual_signals():
    """Handle signals as a program in a terminal does; one in the background is started to ignore SIGINT."""
    before = {signum: signal.signal(signum, handler) for signum, handler in USUAL.items()}
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)
