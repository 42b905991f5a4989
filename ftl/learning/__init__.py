"""Training a stack of node models. Importing this package alone does not import Lightning."""
