"""The method end to end: local, federated, transferred, scored, evaluated."""
