"""The laws of the ports, held by every adapter, real and fake."""
