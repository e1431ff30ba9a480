"""How good an image is: against its reference (profiles), by itself (noise), per tissue, over a test set (statistics).

Import from the modules: ``ssim``, ``fsim`` and ``vif`` are modules here, and the functions of those names are in them.
"""
