"""What a trained model does: where its attention looks, what its heads do, what its answers hang on."""
