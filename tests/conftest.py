import pytest

from mtl_zoo.datasets import multi_digits
from tests.datasets.harness import block_network


@pytest.fixture(scope="session")
def multi_digits_dir(tmp_path_factory):
    """Prepare the default dataset once, without network."""
    path = tmp_path_factory.mktemp("multi_digits")
    with pytest.MonkeyPatch.context() as patch:
        block_network(patch)
        multi_digits.load("test", batch_size=1, data_dir=path)
    return path
