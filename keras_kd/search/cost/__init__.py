"""The costs of a student on a device, and the budget of a device."""
