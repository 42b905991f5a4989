"""Training a stack of node models: paradigms, objectives, optimizers, LightningModules. Importing this package does not import Lightning."""
