"""The deployable shared object: manifest, launcher, linker, loader."""
