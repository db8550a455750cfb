"""How good a trained network is: scores, calibration, thresholds, and the report about them."""
