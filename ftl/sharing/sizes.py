"""How many bytes a number takes on its way."""

NUMBER_BYTES = 8
"""A float64 or an int64: how counts, sums and quantiles are sent."""
