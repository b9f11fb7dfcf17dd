"""What of the rest of Rain Jupyter and IPython need to know: what shows an object, which frames an error hides."""
