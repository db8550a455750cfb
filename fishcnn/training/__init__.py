"""What watches a fit and what reads its curves afterwards."""
