"""Pictures of graphs: layout, coordinates, SVG and DOT."""
