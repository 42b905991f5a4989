"""Studies on a prepared fleet that ask more than one experiment does: cold start, policies, methods, labels, drift.

Each cuts the fleet into folds, so that every node is a target of cohorts that never saw it, and writes tidy tables.
"""
