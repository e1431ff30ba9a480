"""Two-stage detection of lesions in pure PyTorch: boxes, anchors, region pooling, and the network."""
