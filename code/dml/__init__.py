"""Deep metric learning: the package that every entry point of this repository shares."""

__version__ = "0.1.0"
