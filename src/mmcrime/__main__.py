"""The command ``mmcrime``, also as ``python -m mmcrime``."""

from __future__ import annotations

import os
import signal


def main() -> None:
    """Run the command line; an interrupt while it is being loaded ends it with 130.

    A KeyboardInterrupt would be no good here: raised inside an import it may be lost, or
    leave half a library behind.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    from mmcrime.cli.app import main as run

    run()


if __name__ == "__main__":
    main()
