"""DeepSEA's own files: train.mat, valid.mat and test.mat."""
