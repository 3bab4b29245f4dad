# The main config: SegFormer-B2 with CWFA on Cityscapes, measured on Cityscapes-C.
# The same for B0 to B5, ADE20K, Swin and Twins is in the folders beside this file.
_base_ = ["./segformer/segformer_mit-b2-cwfa_8xb1-160k_cityscapes-1024x1024.py"]
