"""An example plug-in for mmcrime."""
