"""What the command line says and takes: options, refusals, texts for terminals."""
