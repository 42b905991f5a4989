"""One seed per run, split by purpose, so that a new draw in one place moves no other."""

import hashlib

import numpy as np


def derive_seed(seed: int, *purpose: object) -> int:
    """A seed in [0, 2**63) that depends on the run's seed and on what it is for, and on nothing else.

    Example:
        ``derive_seed(0, "row order", "node-7", 3)``
    """
    text = "\x1f".join([str(seed), *map(str, purpose)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator(seed: int, *purpose: object) -> np.random.Generator:
    """A numpy generator seeded by :func:`derive_seed`."""
    return np.random.default_rng(derive_seed(seed, *purpose))
