"""What a user can mend: every error here names the file, node, column or key, and says what to do."""


class UserError(Exception):
    """Wrong input or settings. The command line prints it without a traceback and exits with code 2."""


class ConfigError(UserError):
    """A setting is unknown, missing or out of range."""


class TelemetryError(UserError):
    """Telemetry or a file that holds it cannot be used as it is."""
