"""Two comparisons under one protocol each: which nodes take part, and by which method they train."""
