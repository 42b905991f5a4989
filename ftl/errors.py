"""What a user can mend: every error here names the file, node, column or key, and says what to do."""

import errno
import re


class UserError(Exception):
    """Wrong input or settings. The command line prints it without a traceback and exits with code 2."""


class ConfigError(UserError):
    """A setting is unknown, missing or out of range."""


class TelemetryError(UserError):
    """Telemetry or a file that holds it cannot be used as it is."""


_FULL = re.compile("No space left on device|Disk quota exceeded|disk is full|[0-9]+ requested and [0-9]+ written")


def is_disk_full(error: BaseException) -> bool:
    """Did it fail because the disk is full? Some libraries keep the errno; numpy, safetensors and sqlite say so."""
    return getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or bool(_FULL.search(str(error)))


def disk_full_message(error: BaseException) -> str:
    """What to do about it; finished parts are whole, and kept."""
    written, read = getattr(error, "filename2", None), getattr(error, "filename", None)  # a copy has both
    where = written or read or "while writing"
    return f"the disk is full ({where}); free some space and run the same command again"
