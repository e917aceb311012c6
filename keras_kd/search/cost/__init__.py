"""What a student costs on a device, and what a device allows."""
