"""The report page: one HTML file and static figures, made from the files of an evaluation."""
