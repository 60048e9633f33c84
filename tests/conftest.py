import socket

import pytest

from mtl_zoo.datasets import multi_digits


@pytest.fixture(scope="session")
def multi_digits_dir(tmp_path_factory):
    """Prepare the default dataset once, without network."""

    def refuse(*args):
        raise AssertionError("No network may be used.")

    path = tmp_path_factory.mktemp("multi_digits")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        patch.setattr(socket, "getaddrinfo", refuse)
        multi_digits.load("test", batch_size=1, data_dir=path)
    return path
