"""What a run and its evaluation leave in W&B or TensorBoard."""
