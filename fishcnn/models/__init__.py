"""Networks, and the LightningModule that trains one of them."""
