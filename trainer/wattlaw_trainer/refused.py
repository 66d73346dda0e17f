"""What cannot be done, in one sentence."""


class Refused(Exception):
    """A job, a file or a machine that cannot be trained with: what, where, and what would be accepted."""
