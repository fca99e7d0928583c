"""Audio in and out: files decoded, songs loaded, loudness measured."""
