"""The networks, each in a flat buffer of named tensors."""
