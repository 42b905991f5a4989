"""What holds for every test: one thread, no telemetry, no window, no store but the test's own."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# Before torch, mlflow or matplotlib is imported by a test module.
os.environ.update(
    OMP_NUM_THREADS="1",
    MPLBACKEND="Agg",
    MLFLOW_DISABLE_TELEMETRY="true",
    MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",
    DO_NOT_TRACK="true",
    DVC_NO_ANALYTICS="1",
)
os.environ.pop("MLFLOW_TRACKING_URI", None)  # a test must not write into somebody's server

# The same examples in every run: a red test stays red until it is mended. The machine's load decides nothing.
settings.register_profile("ftl", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("ftl")


@pytest.fixture(scope="session")
def checkout() -> Path:
    """Top folder of this repository."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def denormals_kept():
    """A test that trains switches denormal numbers off for its whole process; the next one shall not notice."""
    yield
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_flush_denormal(False)
