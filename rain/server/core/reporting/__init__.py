"""What clients are sent: updates, explanations, output, stalls."""
