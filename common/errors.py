"""The one error a user can mend: it is shown as one line, without a traceback, and ends with exit code 2."""


class UserError(Exception):
    """Something the user can put right; the message says what and how, in one line."""
