"""Do labels of other nodes help? Heads made of class sums, against and beside the unsupervised score."""
