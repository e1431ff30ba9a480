"""Digital phantoms: test objects of image quality, and seeded digital patients with labels and lesions."""
