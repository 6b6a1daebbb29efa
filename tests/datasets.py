"""Where the real datasets lie, and what to do where they do not."""

import os
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


def data_folder() -> Path:
    """Return the folder of real datasets, from the environment or beside the checkout."""
    return Path(os.environ.get("IMMUNE_LANDSCAPE_DATA", HERE.parent.parent / "shared" / "data"))


def shared_data(*parts: str) -> Path:
    """Return a path in the dataset folder; absent, skip the test, or fail it on CI."""
    path = data_folder().joinpath(*parts)
    if path.exists():
        return path
    message = f"real dataset not found: {path} (set IMMUNE_LANDSCAPE_DATA to the folder of datasets)"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)
