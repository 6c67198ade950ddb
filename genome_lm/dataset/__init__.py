"""Dataset file: format, sources, preparation, batches."""
