"""Scripts that fit the models which ship with mmcrime; run them with ``python -m``."""
