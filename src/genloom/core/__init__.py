"""The contract of a model, and the free functions that models share. Needs torch, numpy and safetensors alone."""
