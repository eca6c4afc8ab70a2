"""What is in flight: a file for each subject."""
