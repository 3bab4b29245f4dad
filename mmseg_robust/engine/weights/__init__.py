"""Machinery of the weight methods: which weights they act on, and where in a step they act."""
