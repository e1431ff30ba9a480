"""Speed of the inference engines and of the whole ``denoise`` command."""
