import json

import pytest

from credit_retrain import dataset


@pytest.fixture(scope="session")
def uci():
    return dataset.read(dataset.locate(None))


@pytest.fixture(scope="session")
def tiny_space():
    """What a search draws from when it is the path that is tested, not the model."""
    return {
        "max_depth": [2],
        "n_estimators": [40, 50],
        "learning_rate": [0.15],
        "subsample": [0.7],
        "max_features": [0.3],
        "min_samples_leaf": [50],
    }


@pytest.fixture(scope="session")
def validated(uci, tmp_path_factory):
    """What validation says of the rows when nothing is wrong with them."""
    train, test = dataset.split(uci)
    digests = {"train": {"digest": train.digest()}, "test": {"digest": test.digest()}}
    file = tmp_path_factory.mktemp("validated") / "validation.json"
    file.write_text(json.dumps({"passed": True, "data": digests, "checks": []}))
    return file


@pytest.fixture(scope="session")
def trained(tiny_space, validated, tmp_path_factory):
    """One whole training by the command line: the folder it leaves, with what MLflow keeps beside it."""
    from credit_retrain import search, tracking
    from credit_retrain.__main__ import main

    root = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setattr(search, "SPACE", tiny_space)
        patch.setattr(tracking, "ROOT", root)
        code = main(
            [
                "train",
                "--out",
                str(root / "dist"),
                "--version",
                "t.1",
                "--created-at",
                "2026-01-01T00:00:00Z",
                "--n-iter",
                "2",
                "--n-jobs",
                "1",
                "--validation",
                str(validated),
            ]
        )
    assert code == 0
    return root
