"""Photographs that do not fit on the device, decoded while it works."""
