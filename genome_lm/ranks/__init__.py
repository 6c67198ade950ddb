"""Training by several processes, one a device: who starts them, and what they agree on."""
