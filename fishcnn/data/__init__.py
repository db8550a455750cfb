"""From a folder of pictures to batches on the device."""
