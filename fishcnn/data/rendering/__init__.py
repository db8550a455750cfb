"""Drawing fish: species, outlines, patterns, scenery."""
