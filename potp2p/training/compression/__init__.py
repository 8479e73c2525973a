"""Payload codecs: each turns an update into bytes and back, exactly."""
