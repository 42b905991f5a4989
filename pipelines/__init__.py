"""DVC's stages: each is one file, which reads parameters and paths and makes one call."""
