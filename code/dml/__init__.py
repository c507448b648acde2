"""Deep metric learning: the package that every entry point of this repository shares."""
