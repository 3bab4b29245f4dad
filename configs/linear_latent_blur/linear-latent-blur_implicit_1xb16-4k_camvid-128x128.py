_base_ = "./linear-latent-blur_explicit_1xb16-4k_camvid-128x128.py"
model = dict(linearity="implicit")
