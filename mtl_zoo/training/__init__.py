"""Training of one model on several tasks: the trainer, its step, and what data and logs pass through."""
