"""The error that a user can fix: scripts show it as one line without a traceback and exit with code 2."""


class UserError(Exception):
    """An error that the user can fix. Its message is one line: what is wrong and what to do."""
