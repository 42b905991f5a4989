"""The checks of the audit, by subject; each is a function of the printed tables alone."""
