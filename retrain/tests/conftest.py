import pytest

from credit_retrain import dataset


@pytest.fixture(scope="session")
def uci():
    return dataset.read(dataset.locate(None))
