"""The command ``mmcrime``: one file a command, the application in ``app``.

Results go to stdout; progress, remarks and errors to stderr.
"""
