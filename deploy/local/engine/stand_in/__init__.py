"""An OpenAI-compatible server without a model, which says so in every answer: for machines that do
not hold vLLM.
"""
