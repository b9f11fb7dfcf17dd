"""What clients are told: updates, explanations, output, stalls."""
