"""From a picture of a digit to the network's answer."""
