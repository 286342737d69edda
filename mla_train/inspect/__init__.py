"""What a trained model does: maps of attention."""
