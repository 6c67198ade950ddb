"""What is the matter with an installation, a machine or a dataset, and what to change."""
