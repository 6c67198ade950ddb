"""The one exception for input that a user can mend."""


class UserError(Exception):
    """Bad input or configuration.

    The message is one line that says what was given, what was expected and the remedy. The command line
    prints it without a traceback and exits with code 2.
    """
