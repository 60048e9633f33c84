"""What was chosen for a training, and the directory that it leaves behind."""
