"""``python -m mmcrime`` is the command ``mmcrime``."""

from mmcrime.cli.app import main

if __name__ == "__main__":
    main()
