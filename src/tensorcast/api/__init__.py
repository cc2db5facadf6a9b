"""The public verbs on tensors and arrays; the package hands them on."""
