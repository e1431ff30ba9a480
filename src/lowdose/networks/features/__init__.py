"""Frozen feature extractors for perceptual losses and metrics: anatomy network, VGG, AlexNet, DINOv2, CLIP, ResNet."""
