import signal

import pytest

from mtl_zoo.datasets import multi_digits
from tests.datasets.harness import block_network

USUAL = {signal.SIGTERM: signal.SIG_DFL, signal.SIGINT: signal.default_int_handler}


@pytest.fixture(autouse=True)
def _usual_signals():
    """Handle signals as a program in a terminal does; one in the background is started to ignore SIGINT."""
    before = {signum: signal.signal(signum, handler) for signum, handler in USUAL.items()}
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


@pytest.fixture(scope="session")
def multi_digits_dir(tmp_path_factory):
    """Prepare the default dataset once, without network."""
    path = tmp_path_factory.mktemp("multi_digits")
    with pytest.MonkeyPatch.context() as patch:
        block_network(patch)
        multi_digits.load("test", batch_size=1, data_dir=path)
    return path
