"""The k-mer logistic regression that every encoder must beat."""
