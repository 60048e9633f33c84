import pytest

from mtl_zoo import datasets
from tests.command_line.harness import tiny


@pytest.fixture(autouse=True)
def _tiny_dataset(monkeypatch):
    monkeypatch.setattr(datasets, "tiny", tiny(), raising=False)


@pytest.fixture
def run_dir(tmp_path):
    return tmp_path / "runs" / "tiny"
