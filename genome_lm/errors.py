"""The exception for input that a user can mend, and the one for a training that is told to end."""

import signal

TERMINATION_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
"""What a batch system sends before it ends a job: SIGTERM (all), or SIGUSR1 (SLURM's --signal, by custom)."""
TERMINATED = 143
"""Exit code after SIGTERM, 128 + 15 as shells have it; also after SIGUSR1, the usual notice of SLURM."""


class UserError(Exception):
    """Bad input or configuration.

    The message is one line that says what was given, what was expected and the remedy. The command line
    prints it without a traceback and exits with code 2.
    """


class Terminated(SystemExit):
    """A signal asked for the end; the exit code is `TERMINATED`."""

    def __init__(self) -> None:
        super().__init__(TERMINATED)
