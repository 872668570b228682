"""The promises that rankwise keeps, tried on the user's own base and machine."""
