"""The first hours of a node: alone, with its fleet's statistics, with its fleet's weights, and with both."""
