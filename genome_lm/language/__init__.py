"""The language of the genome: next-base training of the same encoders, and the Markov chains to beat."""
