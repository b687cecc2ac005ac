"""What Argo CD and a starting pod say, in one set of words. No models."""
