"""Processes beside each other: how many, one at a time where it must be, and none that outlives its parent."""

import os
import signal
import threading
import time
from collections.abc import Callable

from ftl.errors import ConfigError

try:
    import fcntl

    CAN_LOCK = True
except ImportError:  # not a POSIX system: nothing is locked
    CAN_LOCK = False


def asked_workers() -> int | None:
    """The number of processes that ``FTL_WORKERS`` asks for; None where it is not set.

    Raises:
        ConfigError: If it is no number >= 1.
    """
    asked = os.environ.get("FTL_WORKERS")
    if not asked:
        return None
    if not asked.isdecimal() or int(asked) < 1:
        raise ConfigError(f"FTL_WORKERS must be a number >= 1; got {asked!r}")
    return int(asked)


def lock(handle: int, wait: Callable[[], None] = lambda: None) -> None:
    """Lock an open file, until it is closed, if only by the end of the process.

    Args:
        handle: Of the open file.
        wait: Called before waiting for another holder.
    """
    if not CAN_LOCK:
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        wait()
        fcntl.flock(handle, fcntl.LOCK_EX)
    except OSError:
        pass  # a file system without locks


def leave_ending_to(parent: int) -> None:
    """To be called in a worker: it ignores Ctrl-C, which its parent answers, and ends when that was killed.

    A worker that outlived its parent would go on writing beside the run that takes over.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)
